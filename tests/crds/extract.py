"""Takes single files out of packages and writes each CustomResourceDefinition as JSON.

    extract.py SOURCES OUT PACKAGE=FILE...

An API server takes seconds for a large definition, so what no test writes is left out: descriptions, versions that are
not stored, `status`, the webhook that converts between versions (it does not run here), and what stands below members of pods
that nobody writes here (it is not looked at, then).
"""

import json
import pathlib
import sys
import zipfile

import yaml


# Members of pods, containers and volumes, and of Argo's templates: large, and in no object of the tests.
UNUSED = set(
    """
    affinity dnsConfig ephemeralContainers lifecycle livenessProbe readinessProbe securityContext startupProbe
    topologySpreadConstraints ephemeral awsElasticBlockStore azureDisk azureFile cephfs cinder fc flexVolume glusterfs
    iscsi nfs persistentVolumeClaim photonPersistentDisk portworxVolume quobyte rbd scaleIO storageos vsphereVolume
    gcePersistentDisk gitRepo volumeClaimTemplates volumeClaimTemplate
    archiveLocation artifactGC artifactRepositoryRef containerSet dag data hooks http inputs memoize metrics outputs
    resource script sidecars steps synchronization
    """.split()
)


def anything(schema):
    """A schema of the same type that takes anything."""
    if schema["type"] == "array":
        return {"type": "array", "items": anything({"type": "object"})}
    return {"type": "object", "x-kubernetes-preserve-unknown-fields": True}


def smaller(node):
    if isinstance(node, list):
        return [smaller(element) for element in node]
    if not isinstance(node, dict):
        return node
    # A property may be called `description`, too; its value is a schema.
    kept = {
        name: smaller(member) for name, member in node.items() if not (name == "description" and isinstance(member, str))
    }
    properties = kept.get("properties")
    for name, schema in properties.items() if isinstance(properties, dict) else ():
        of_objects = schema.get("type") == "array" and schema["items"].get("type") == "object"
        if name in UNUSED and (schema.get("type") == "object" or of_objects):
            properties[name] = anything(schema)
    return kept


def definition(text, group):
    crd = yaml.load(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    crd.pop("status", None)
    spec = crd["spec"] = smaller(crd["spec"])
    spec.pop("conversion", None)
    spec["versions"] = [version for version in spec["versions"] if version["storage"]]
    for version in spec["versions"]:
        version["schema"]["openAPIV3Schema"]["properties"]["status"] = anything({"type": "object"})
    if group:
        spec["group"] = group
        crd["metadata"]["name"] = f"{spec['names']['plural']}.{group}"
    return crd


def main(sources, out, *files):
    packages = dict(pair.split("=", 1) for pair in files)
    for line in pathlib.Path(sources).read_text().splitlines():
        if line.startswith("#"):
            continue
        name, version, _, path, *group = line.split()
        package = f"{name}@{version}"
        # In the archive of a Go module every file is below the module's name.
        inner = path if name.startswith("pypi:") else f"{package}/{path}"
        with zipfile.ZipFile(packages[package]) as archive:
            crd = definition(archive.read(inner), group[0] if group else None)
        pathlib.Path(out, crd["metadata"]["name"] + ".json").write_text(json.dumps(crd, separators=(",", ":")))


main(*sys.argv[1:])
