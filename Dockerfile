FROM python:3.12-slim AS build
WORKDIR /src
COPY pyproject.toml constraints.txt README.md LICENSE ./
COPY fhir_server fhir_server
COPY mappings mappings
COPY capability capability
COPY seed seed
RUN python -m venv /opt/fhir && /opt/fhir/bin/pip install --no-cache-dir --constraint constraints.txt '.[granian]'

FROM python:3.12-slim
RUN useradd --system --create-home fhir
COPY --from=build /opt/fhir /opt/fhir
USER fhir
ENV PATH=/opt/fhir/bin:$PATH PYTHONUNBUFFERED=1
EXPOSE 8080
HEALTHCHECK --interval=10s --timeout=3s --start-period=20s --retries=3 \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8080/health/ready', timeout=2)"]
ENTRYPOINT ["fhir-server"]
CMD ["serve", "--host", "0.0.0.0", "--port", "8080"]
