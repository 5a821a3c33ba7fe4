"""Keeps in step what the chart says about the webhook's settings with docs/configuration.md, which is made from the code:

  the `config` part of values.schema.json   so that a key or a value that the webhook would refuse is refused by Helm
  files/defaults.yaml                       the defaults that templates decide by
  README.md                                 the table of values, from the schema and values.yaml

  docs/install.md                           the table of rights, from the rules that the chart renders

and the manifests of the overlays flyte2-beside and flyte2-secret-service with the chart. `generate.py` writes them, `generate.py --check` fails where they
differ. Helm is the program in the variable HELM.
"""

import json
import re
import sys

import yaml
from rendering import CHART, NAMESPACE, OVERLAYS, RELEASE, ROOT, helm, rendered, rules

OVERLAY = OVERLAYS / "flyte2-beside"
SERVICE = OVERLAYS / "flyte2-secret-service"
VALUES_MARKS = ("<!-- values: made by tests/charts/generate.py -->\n", "<!-- end of values -->\n")
RIGHTS_MARKS = ("<!-- rights: made by tests/charts/generate.py -->\n", "<!-- end of rights -->\n")

# Settings that are the chart's to decide, by the values around `config`.
DECIDED = {
    "webhook.profile", "webhook.serviceName", "webhook.secretName", "webhook.certDir", "webhook.localCert",
    "webhook.disableCreateMutatingWebhookConfig", "webhook.certificates.mode", "webhook.certificates.caSecretNamespace",
    "webhook.certificates.certManagerCertificate",
}  # fmt: skip
# Settings that templates decide by.
READ = [
    "webhook.secretManagerTypes", "webhook.secretManagerType", "webhook.delivery", "webhook.listenPort", "webhook.metricsPort",
    "webhook.cacheInvalidationPort", "webhook.servicePort", "webhook.url", "webhook.webhookTimeout", "webhook.metrics-prefix",
    "webhook.namespaceSelector", "webhook.invalidation.authentication", "webhook.embeddedSecretManagerConfig.type",
    "webhook.embeddedSecretManagerConfig.types", "webhook.embeddedSecretManagerConfig.k8sConfig.namespace",
    "webhook.embeddedSecretManagerConfig.k8sConfig.watch", "webhook.embeddedSecretManagerConfig.imagePullSecrets.enabled",
    "webhook.events.enabled", "webhook.k8s.checkExists", "webhook.shutdownDelay", "webhook.registration.failurePolicy",
    "webhook.registration.reinvocationPolicy", "webhook.registration.matchConditions",
    "secret.authentication.modes", "secret.store", "secret.server.port", "secret.server.metricsPort", "secret.kubernetes.namespace",
]  # fmt: skip


def settings():
    """Path, what it accepts, default and meaning of every key of docs/configuration.md."""
    section = ""
    for line in (ROOT / "docs/configuration.md").read_text().splitlines():
        if heading := re.fullmatch(r"## `(.+)`", line):
            section = heading[1]
        elif row := re.fullmatch(r"\| `(.+?)` \| (.+?) \| (.+?) \| (?:Flyte|2|new) \| (.+) \|", line):
            yield f"{section}.{row[1]}", row[2].replace("\\|", "|"), row[3], row[4]


def schema_of(path, accepts):
    """The JSON schema of what a key accepts; what cannot be said in one is left to the webhook."""
    number = re.fullmatch(r"(?:a whole number|a port) from (\d+) to (\d+)(, or 0)?", accepts)
    if number:
        return {"type": "integer", "minimum": 0 if number[3] else int(number[1]), "maximum": int(number[2])}
    if accepts == "true or false":
        return {"type": "boolean"}
    if accepts == "a whole number":
        return {"type": "integer", "minimum": 0}
    if path == "logger.level":  # or one of Flyte's numbers
        return {"type": ["string", "integer"]}
    if path == "webhook.secretManagerType":  # or a name that `customSecretManagers` describes
        return {"type": "string"}
    if path == "webhook.customSecretManagers":  # what stands in one is for the webhook to say
        properties = {"name": {"type": "string"}, "any": {"enum": ["FILE", "ENV_VAR"]}}
        properties |= {"requires": {"type": "array", "items": {"type": "string"}}, "allowUnknownFields": {"type": "boolean"}}
        properties |= {"file": {"type": "object"}, "envVar": {"type": "object"}}
        item = {"type": "object", "additionalProperties": False, "required": ["name"], "properties": properties}
        return {"type": "array", "items": item}
    if one := re.fullmatch(r"one of (.+?)(, or nothing)?", accepts):
        choices = one[1].split(", ") + ([""] if one[2] else [])
        return {"enum": choices + [int(choice) for choice in choices if choice.isdigit()]}
    if several := re.fullmatch(r"a list of ((?:[A-Z][A-Za-z0-9]*(?:, )?)+)", accepts):
        return {"type": "array", "items": {"enum": several[1].split(", ")}}
    if accepts.startswith("a list of") and "`expression`" in accepts:
        item = {"type": "object", "additionalProperties": False, "required": ["name", "expression"]}
        item["properties"] = {"name": {"type": "string"}, "expression": {"type": "string"}}
        return {"type": "array", "items": item}
    if accepts.startswith("a list of rules"):
        names = re.findall(r"`(.+?)`", accepts)
        item = {"type": "object", "additionalProperties": False, "required": names}
        lists = {"type": "array", "items": {"type": "string"}, "minItems": 1}
        item["properties"] = {name: lists if name in ("subjects", "verbs") else {"type": "string"} for name in names}
        return {"type": "array", "items": item}
    if accepts.startswith("a list of"):
        return {"type": "array", "items": {"type": "string"}}
    if accepts.startswith("Kubernetes resources"):
        quantities = {"type": "object", "additionalProperties": {"type": ["string", "number"]}}
        return {"type": "object", "additionalProperties": False, "properties": {"limits": quantities, "requests": quantities}}
    if "label selector" in accepts:
        properties = {"matchLabels": {"type": "object"}, "matchExpressions": {"type": "array"}}
        return {"type": "object", "additionalProperties": False, "properties": properties}
    if accepts.startswith("a mapping"):
        return {"type": "object", "additionalProperties": {"type": "string"}}
    if accepts == "anything":
        return {}
    if "seconds" in accepts or "quantity" in accepts:
        return {"type": ["string", "integer"]}
    return {"type": "string"}


def config_schema():
    root = {"type": "object", "additionalProperties": False, "properties": {}}
    root["description"] = "The webhook's own configuration (docs/configuration.md), without what the values around it decide."
    for path, accepts, default, meaning in settings():
        if path in DECIDED:
            continue
        place = root
        *parents, leaf = path.split(".")
        for parent in parents:
            new = {"type": "object", "additionalProperties": False, "properties": {}}
            place = place["properties"].setdefault(parent, new)
        place["properties"][leaf] = schema_of(path, accepts) | {"description": f"{meaning} Default: {default}."}
    return root


def value_of(text, schema):
    """A default as the table writes it, as the YAML value that it stands for."""
    text = text.strip()
    if text in ("empty", "not set"):
        return "" if schema.get("type") == "string" else [] if schema.get("type") == "array" else None
    text = text.strip("`")
    kind = schema.get("type")
    if kind == "array" and not text.startswith("["):
        return text.split(",")
    return text if kind == "string" or "enum" in schema else yaml.safe_load(text)


def defaults():
    found = {path: (accepts, default) for path, accepts, default, _ in settings()}
    answer = {"flyte1": {}, "flyte2": {}}
    for path in READ:
        if path not in found:
            sys.exit(f"docs/configuration.md has no {path}, by which the chart's templates decide")
        accepts, default = found[path]
        schema = schema_of(path, accepts)
        flyte2, _, flyte1 = default.partition("; in `flyte1` ")
        for profile, text in (("flyte1", flyte1 or flyte2), ("flyte2", flyte2)):
            place = answer[profile]
            *parents, leaf = path.split(".")
            for parent in parents:
                place = place.setdefault(parent, {})
            place[leaf] = value_of(text, schema)
    head = "# The webhook's own defaults, as far as templates decide by them. Made by tests/charts/generate.py.\n"
    return head + yaml.safe_dump(answer, sort_keys=True)


def rows(schema, values, path=""):
    for key, part in schema["properties"].items():
        here = f"{path}.{key}" if path else key
        if key == "global" and not path:
            continue
        default = values.get(key) if isinstance(values, dict) else None
        if "properties" in part:
            yield from rows(part, default or {}, here)
        else:
            meaning = part.get("description", "The webhook's own configuration: [docs/configuration.md](../../docs/configuration.md).")
            choices = " One of " + ", ".join(f"`{one}`" for one in part["enum"] if one) + "." if "enum" in part else ""
            shown = "not set" if default is None else json.dumps(default, ensure_ascii=False)
            shown = "see values.yaml" if len(shown) > 60 else shown if default is None else f"`{shown}`"
            yield f"| `{here}` | {shown} | {meaning}{choices} |"


def between(marks, file, table):
    begin, end = marks
    head, _, rest = file.read_text().partition(begin)
    _, _, tail = rest.partition(end)
    return "\n".join([f"{head}{begin}", *table, f"\n{end}{tail}"])


def readme(schema):
    values = yaml.safe_load((CHART / "values.yaml").read_text())
    table = ["| value | default | meaning |", "|---|---|---|", *rows(schema, values)]
    return between(VALUES_MARKS, CHART / "README.md", table)


# Features and what switches them on, over a webhook that needs as little as possible.
LEAST = ["registration.by=chart", "certificates.mode=files", "rbac.eventOwners=null"]
LEAST += [f"config.webhook.{setting}" for setting in ("delivery=PodSpec", "events.enabled=false", "secretManagerTypes={K8s}")]
EMBEDDED = ["config.webhook.secretManagerTypes={Embedded}", "config.webhook.embeddedSecretManagerConfig.k8sConfig.namespace=store"]
REGISTERS = ["registration.by=webhook"]
FEATURES = [
    ("the webhook keeps its registration (`registration.by: webhook`)", [], REGISTERS),
    ("… and makes it anew (`rbac.recreate`)", REGISTERS, ["rbac.recreate=true"]),
    ("rotating certificates (`certificates.mode: auto`)", REGISTERS, ["certificates.mode=auto"]),
    ("… and makes them anew (`rbac.recreate`)", [*REGISTERS, "certificates.mode=auto"], ["rbac.recreate=true"]),
    ("Flyte 1's Job (`certificates.files.job`)", [], ["certificates.files.job=true"]),
    ("values by reference (`config.webhook.delivery: SecretRef`)", [], ["config.webhook.delivery=SecretRef"]),
    ("… in listed namespaces (`rbac.scope: Namespaces`)", ["rbac.scope=Namespaces", "rbac.namespaces={tasks}"], ["config.webhook.delivery=SecretRef"]),
    ("the K8s store of Embedded", [], EMBEDDED),
    ("… without a watch (`k8sConfig.watch: false`)", [], [*EMBEDDED, "config.webhook.embeddedSecretManagerConfig.k8sConfig.watch=false"]),
    ("image-pull Secrets (`imagePullSecrets.enabled`)", EMBEDDED, ["config.webhook.embeddedSecretManagerConfig.imagePullSecrets.enabled=true"]),
    ("a look at Secrets first (`config.webhook.k8s.checkExists`)", [], ["config.webhook.k8s.checkExists=Warn"]),
    ("callers known by their token (`config.webhook.invalidation.authentication`)", [], ["config.webhook.invalidation.authentication=TokenReview"]),
    ("Events at controllers of refused pods (`config.webhook.events.enabled`), and `get` on `rbac.eventOwners`", [], ["config.webhook.events.enabled=true"]),
    ("`uninstall.mirrors`", [], ["uninstall.mirrors=true"]),
    ("the Secret service over Secrets (`secretService.enabled`), for its own ServiceAccount", [], ["secretService.enabled=true", "config.secret.kubernetes.namespace=store"]),
    ("… with tokens of its callers reviewed (`config.secret.authentication.modes`)", ["secretService.enabled=true"], ["config.secret.authentication.modes={TokenReview}", "secretService.enabled=true"]),
]  # fmt: skip


def rights():
    """The rules that each feature adds."""

    def lines(settings):
        found = rules(rendered(*(word for setting in [*LEAST, *settings] for word in ("--set", setting))))
        return [f"{re.sub('(/|Role )' + NAMESPACE + '(?=[-/])', lambda match: match[1] + 'RELEASE', where)}: {line}" for where, some in found.items() for line in some]

    yield "| feature | rules |"
    yield "|---|---|"
    least = lines([])
    yield f"| always, with `rbac.scope: Cluster` | {'<br>'.join(map(told, least))} |"
    for feature, before, settings in FEATURES:
        known = lines(before)
        added = [line for line in lines([*before, *settings]) if line not in known]
        yield f"| {feature} | {'<br>'.join(map(told, added))} |"


def told(line):
    """A rule for people: where, and what."""
    where, _, rule = line.partition(": ")
    moment = re.search(r" \((.+)\)$", where)
    place = "cluster" if where.startswith("ClusterRole") else f"namespace {where.removeprefix('Role ').partition('/')[0]}"
    place = place.replace("RELEASE", "of the release").replace("namespace store", "namespace of the store").replace("namespace tasks", "each of `rbac.namespaces`")
    when = f", a Job at {moment[1].replace(',', ', ')}" if moment else ""
    return f"{place}{when}: {re.sub('^(.+?) on (.+?) of (.+?)( named .+)?$', lambda part: named_rule(part), rule)}"


def named_rule(part):
    group = "" if part[3] == "core" else f" ({part[3]})"
    return f"`{part[1]}` on {part[2]}{group}{' by name' if part[4] else ''}"


def manifest(*more):
    text = helm("template", RELEASE, CHART, "--namespace", "flyte", "--values", OVERLAY / "values.yaml", *more)
    kept = [line for line in text.splitlines() if not re.match(r" *(helm.sh/chart|app.kubernetes.io/managed-by):|# Source:", line)]
    head = "# The chart flyte-secrets with values.yaml, without the labels that Helm uses. Made by tests/charts/generate.py."
    return "\n".join([head, *kept]).rstrip() + "\n"


def steps():
    """Files and what makes their text, in an order in which each needs only those before it."""

    def schema():
        return json.loads((CHART / "values.schema.json").read_text()) | {"definitions": {"config": config_schema()}}

    yield CHART / "values.schema.json", lambda: json.dumps(schema(), indent=2, ensure_ascii=False) + "\n"
    yield CHART / "files/defaults.yaml", defaults
    yield CHART / "README.md", lambda: readme(schema())
    yield ROOT / "docs/install.md", lambda: between(RIGHTS_MARKS, ROOT / "docs/install.md", rights())
    yield OVERLAY / "flyte-secrets.yaml", manifest
    alone = ("--set", "secretService.enabled=true", "--show-only", "templates/secret-service.yaml")
    yield SERVICE / "secret-service.yaml", lambda: manifest(*alone)


def main():
    stale = []
    for file, made in steps():
        text = made()
        if not file.exists() or file.read_text() != text:
            stale.append(str(file.relative_to(ROOT)))
            if "--check" not in sys.argv:
                file.write_text(text)
    if "--check" in sys.argv and stale:
        sys.exit(f"not in step with docs/configuration.md, values.yaml or the chart: {', '.join(stale)}; run `make charts-update`")


if __name__ == "__main__":
    main()
