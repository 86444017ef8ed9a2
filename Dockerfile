# The server in a container: words and the small model `nano` inside, so that it starts without a download.
#
#   docker build -t vlm2vec-rag .
#   docker run -e VLM2VEC_TOKEN=... -p 7860:7860 -v vlm2vec:/data vlm2vec-rag
#   docker build --build-arg TORCH=cu126 -t vlm2vec-rag:gpu .     # and run it with --gpus all
#
# Written and read over by hand, not built: no container engine runs where this project is tested.

FROM python:3.11-slim-bookworm AS build
# cpu, or one of PyTorch's CUDA builds: cu126, cu128
ARG TORCH=cpu
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
RUN python -m venv /opt/venv
ENV PATH=/opt/venv/bin:$PATH
WORKDIR /src
COPY constraints.txt ./
# torch alone and first: it changes least, and is the largest layer
RUN pip install -c constraints.txt --index-url "https://download.pytorch.org/whl/${TORCH}" torch
COPY pyproject.toml README.md LICENSE ./
COPY vlm2vec_rag ./vlm2vec_rag
COPY integrations ./integrations
COPY finetune ./finetune
RUN pip install -c constraints.txt '.[serve,chat,url]'

FROM python:3.11-slim-bookworm
# a user of its own: what opens strangers' files should own nothing but its data
RUN useradd --uid 10001 --create-home --shell /usr/sbin/nologin vlm2vec \
    && install -d -o vlm2vec -g vlm2vec /data
COPY --from=build /opt/venv /opt/venv
ENV PATH=/opt/venv/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    HF_HOME=/data/huggingface \
    XDG_CACHE_HOME=/data/cache \
    VLM2VEC_COLLECTION=/data/collection
WORKDIR /data
USER 10001
VOLUME /data
EXPOSE 7860
# the door asks for the token; the icon is in front of it
HEALTHCHECK --interval=30s --timeout=5s --start-period=60s \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:7860/static/icon.svg', timeout=4)"]
STOPSIGNAL SIGTERM
ENTRYPOINT ["vlm2vec-rag"]
# other than this container's own address, so VLM2VEC_TOKEN has to be set
CMD ["serve", "--host", "0.0.0.0", "--port", "7860", "--model", "nano"]
