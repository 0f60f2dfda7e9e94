"""Everything that decides a network's weights; the hash of this folder names a cached fold."""
