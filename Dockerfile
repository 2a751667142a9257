# A server that detects on the CPU, with the shipped weights inside, run by a user without rights.
#
#   docker build -t incdet .
#   docker run --rm -p 127.0.0.1:8000:8000 incdet                     # the page at http://127.0.0.1:8000
#   docker run --rm -v "$PWD:/photos" incdet detect /photos/cat.jpg --json -
#
# torch without CUDA is several gigabytes smaller; TORCH_INDEX is the address of an index that has it:
#   docker build --build-arg TORCH_INDEX=ADDRESS -t incdet .
FROM python:3.11-slim

# OpenCV's wheel links to these
RUN apt-get update \
    && apt-get install -y --no-install-recommends libgl1 libglib2.0-0 \
    && rm -rf /var/lib/apt/lists/*

RUN useradd --create-home --uid 10001 incdet
WORKDIR /home/incdet/source
ARG TORCH_INDEX=""
RUN pip install --no-cache-dir ${TORCH_INDEX:+--index-url "$TORCH_INDEX"} torch torchvision
COPY . .
RUN pip install --no-cache-dir '.[web,openvino]'

USER incdet
WORKDIR /home/incdet
# inner loops are compiled once, into the user's cache, so that the first request does not wait for them
RUN incdet detect "$(python -c 'import skimage; print(skimage.__path__[0])')/data/chelsea.png" --json /tmp/first.jsonl

EXPOSE 8000
HEALTHCHECK --interval=30s --timeout=5s --start-period=60s \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8000/healthz', timeout=4)"]
STOPSIGNAL SIGTERM
ENTRYPOINT ["incdet"]
# within the container only; what is published, and to whom, is said by docker run -p. INCDET_TOKEN asks for a token.
CMD ["serve", "--host", "0.0.0.0"]
