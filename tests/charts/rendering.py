"""Renders the chart and the overlays."""

import os
import pathlib
import subprocess

import yaml

ROOT = pathlib.Path(__file__).resolve().parents[2]
HERE = ROOT / "tests/charts"
CHART = ROOT / "charts/flyte-secrets"
OVERLAYS = ROOT / "deploy/kustomize"
HELM = os.environ.get("HELM", "helm")
KUBECTL = os.environ.get("KUBECTL", "kubectl").split()
RELEASE, NAMESPACE = "flyte-secrets", "flyte-system"


class Loader(yaml.SafeLoader):
    """Refuses a key that is there twice, as the API server's strict validation does."""

    def construct_mapping(self, node, deep=False):
        keys = [self.construct_object(key, deep=deep) for key, _ in node.value]
        twice = {str(key) for key in keys if keys.count(key) > 1}
        if twice:
            raise yaml.YAMLError(f"{node.start_mark}: twice: {', '.join(twice)}")
        return super().construct_mapping(node, deep)


def objects(text):
    return [document for document in yaml.load_all(text, Loader) if document]


def values_files():
    return sorted((HERE / "values").glob("*.yaml"))


def overlays():
    return sorted(folder.parent for folder in OVERLAYS.glob("*/kustomization.yaml"))


def run(*command, **more):
    return subprocess.run([str(word) for word in command], capture_output=True, text=True, **more)


def helm(verb, *arguments, **more):
    """What `helm VERB` prints; `subprocess.CalledProcessError` with its words where it fails."""
    return run(HELM, verb, *arguments, check=True, **more).stdout


def rendered(*arguments):
    """The objects of the chart, hooks included."""
    return objects(helm("template", RELEASE, CHART, "--namespace", NAMESPACE, *arguments))


def built(overlay):
    return objects(run(*KUBECTL, "kustomize", overlay, check=True).stdout)


def refusal(*arguments):
    """The words with which Helm refuses values; empty if it takes them."""
    outcome = run(HELM, "template", RELEASE, CHART, "--namespace", NAMESPACE, *arguments)
    return outcome.stderr if outcome.returncode else ""


def named(found, kind, name=None):
    return [one for one in found if one["kind"] == kind and name in (None, one["metadata"]["name"])]


def pods(found):
    """The pod templates, by what makes the pods."""
    kinds = ("Deployment", "Job")
    return {f"{one['kind']} {one['metadata']['name']}": one["spec"]["template"] for one in found if one["kind"] in kinds}


def rules(found):
    """Every rule, in the words of RBAC, by where it holds."""
    answer = {}
    for one in found:
        if one["kind"] in ("Role", "ClusterRole"):
            where = f"{one['kind']} {one['metadata'].get('namespace', '')}/{one['metadata']['name']}".replace(" /", " ")
            moment = one["metadata"].get("annotations", {}).get("helm.sh/hook")
            where += f" ({moment})" if moment else ""
            lines = answer.setdefault(where, [])
            for rule in one["rules"]:
                names = " named " + ", ".join(rule["resourceNames"]) if "resourceNames" in rule else ""
                groups = ", ".join(group or "core" for group in rule["apiGroups"])
                lines.append(f"{', '.join(rule['verbs'])} on {', '.join(rule['resources'])} of {groups}{names}")
    return answer
