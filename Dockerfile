# The project in a container, as a user without rights:
#   docker build -t digits .
#   docker run --rm -it digits make quick
# To keep what a run makes: -v digits:/home/runner/project. A GPU: --gpus all, and GPU=1 below.
FROM python:3.11-slim
RUN apt-get update -q && apt-get install -y -q --no-install-recommends git make \
    && rm -rf /var/lib/apt/lists/*
RUN useradd --create-home runner
USER runner
WORKDIR /home/runner/project
COPY --chown=runner . .
# Files that the user makes are the user's alone.
RUN umask 077 && make setup GPU=0
CMD ["sh", "-c", "umask 077 && exec make repro"]
