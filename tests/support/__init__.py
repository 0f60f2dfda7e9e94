"""What the tests share: small projects, copies of the checkout, servers on loopback."""
