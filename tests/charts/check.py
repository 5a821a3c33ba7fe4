"""The chart and the kustomize overlays, without a cluster. See README.md for the programs that they need.

`python check.py` runs all; `python check.py Chart.test_…` one. UPDATE_GOLDEN=1 writes the rules of RBAC down anew.
"""

import functools
import json
import os
import re
import shlex
import sys
import tempfile
import unittest

import kubernetes_validate
import yaml
from rendering import CHART, HERE, NAMESPACE, RELEASE, ROOT, built, helm, named, objects, overlays, pods, refusal, rendered, rules, run, values_files

OLDEST = (1, 30)
# Kinds of others, whose schemas are not Kubernetes' own.
FOREIGN = ("cert-manager.io/", "monitoring.coreos.com/", "autoscaling.k8s.io/")


@functools.cache
def from_values(file):
    return rendered("--values", file)


@functools.cache
def everything():
    """Every set of objects, by its name."""
    return {file.stem: from_values(file) for file in values_files()} | {f"overlay-{overlay.name}": built(overlay) for overlay in overlays()}


def versions():
    newest_first = kubernetes_validate.versions() if hasattr(kubernetes_validate, "versions") else None
    folder = os.path.join(os.path.dirname(kubernetes_validate.__file__), "kubernetes-json-schema")
    names = newest_first or os.listdir(folder)
    found = {tuple(map(int, match.groups())) for name in names if (match := re.match(r"v?(\d+)\.(\d+)", name))}
    return sorted(version for version in found if version >= OLDEST)


def restrictions(pod):
    """What keeps a pod from Pod Security `restricted`, one line each
    (https://kubernetes.io/docs/concepts/security/pod-security-standards/#restricted)."""
    spec = pod["spec"]
    context = spec.get("securityContext", {})
    for switch in ("hostNetwork", "hostPID", "hostIPC"):
        if spec.get(switch):
            yield switch
    allowed = {"configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "persistentVolumeClaim", "projected", "secret"}
    for volume in spec.get("volumes", []):
        if not allowed & volume.keys():
            yield f"volume {volume['name']}"
    for container in spec.get("initContainers", []) + spec["containers"]:
        own = container.get("securityContext", {})
        effective = context | own
        wanted = {
            "allowPrivilegeEscalation": own.get("allowPrivilegeEscalation") is False,
            "capabilities": own.get("capabilities", {}).get("drop") == ["ALL"] and not own["capabilities"].get("add"),
            "runAsNonRoot": effective.get("runAsNonRoot") is True,
            "runAsUser": effective.get("runAsUser") != 0,
            "seccompProfile": effective.get("seccompProfile", {}).get("type") in ("RuntimeDefault", "Localhost"),
            "privileged": not own.get("privileged"),
            # Not demanded there, but by us.
            "readOnlyRootFilesystem": own.get("readOnlyRootFilesystem") is True,
        }
        yield from (f"{container['name']}: {name}" for name, holds in wanted.items() if not holds)


def component(found, name):
    """The Deployment of a component."""
    return [one for one in named(found, "Deployment") if one["spec"]["template"]["metadata"]["labels"]["app.kubernetes.io/component"] == name]


class Chart(unittest.TestCase):
    maxDiff = None

    def test_helm_finds_nothing_to_complain_of(self):
        for file in values_files():
            with self.subTest(file.stem):
                helm("lint", "--strict", "--quiet", CHART, "--values", file)

    def test_every_object_is_valid_in_every_supported_kubernetes(self):
        supported = versions()
        self.assertGreater(len(supported), 5)
        seen = set()
        for name, found in everything().items():
            for one in found:
                if one["apiVersion"].startswith(FOREIGN) or (text := json.dumps(one, sort_keys=True)) in seen:
                    continue
                seen.add(text)
                for major, minor in supported:
                    with self.subTest(values=name, kind=one["kind"], name=one["metadata"]["name"], kubernetes=f"{major}.{minor}"):
                        kubernetes_validate.validate(one, f"{major}.{minor}", strict=True)

    def test_a_misspelt_or_ill_typed_value_is_refused_by_its_name(self):
        cases = [
            ("replica=3", "replica"),
            ("replicas=many", "replicas"),
            ("replicas=-1", "replicas"),
            ("image.repo=x", "repo"),
            ("image.pullPolicy=Sometimes", "pullPolicy"),
            ("image.digest=latest", "digest"),
            ("profile=flyte3", "profile"),
            ("serviceName=Not_A_Name", "serviceName"),
            ("certificates.mode=manual", "mode"),
            ("certificates.certmanager.duration=1h", "certmanager"),
            ("certificates.certManager.duration=soon", "duration"),
            ("registration.by=helm", "by"),
            ("rbac.scope=Everything", "scope"),
            ("rbac.namespace[0]=a", "namespace"),
            ("podDisruptionBudget.enable=true", "enable"),
            ("networkPolicy.invalidationFrom=all", "invalidationFrom"),
            ("monitoring.serviceMonitor.interval=1", "interval"),
            ("uninstall.mirror=true", "mirror"),
            ("secretService.enable=true", "enable"),
            ("secretService.from=all", "from"),
            ("config.secret.server.port=70000", "port"),
            ("commonLabels.a=1", "commonLabels"),
            ("config.webhok.delivery=PodSpec", "webhok"),
            ("config.webhook.delivry=PodSpec", "delivry"),
            ("config.webhook.delivery=Env", "delivery"),
            ("config.webhook.listenPort=70000", "listenPort"),
            ("config.webhook.embeddedSecretManagerConfig.types[0]=k8s", "types"),
            ("config.webhook.embeddedSecretManagerConfig.k8sConfig.watch=maybe", "watch"),
            ("config.cache.inMemoryFixedSize.sise=1", "sise"),
            # What the values around `config` decide.
            ("config.webhook.serviceName=other", "serviceName"),
            ("config.webhook.certificates.mode=files", "mode"),
        ]
        for setting, name in cases:
            with self.subTest(setting):
                words = refusal("--set", setting)
                self.assertIn("the specifications of the schema", words)
                self.assertIn(name, words)

    def test_values_that_contradict_each_other_are_refused_with_the_way_out(self):
        cases = [
            (["registration.by=chart"], "certificates.mode: cert-manager or files"),
            (["rbac.scope=Namespaces"], "registration.by: chart"),
            (["rbac.namespaces={a}"], "rbac.scope: Namespaces"),
            (["rbac.scope=Namespaces", "registration.by=chart", "certificates.mode=files", "uninstall.mirrors=true"], "rbac.scope: Cluster"),
            (["registration.caBundle=x"], "registration.by: chart"),
            (["certificates.files.job=true"], "certificates.mode: files"),
            (["secretService.enabled=true", "config.secret.store=Local"], "leave it at K8s"),
            (
                ["rbac.scope=Namespaces", "registration.by=chart", "certificates.mode=files"]
                + ["secretService.enabled=true", "config.secret.authentication.modes={TokenReview}"],
                "rbac.scope: Cluster",
            ),
            (
                ["rbac.scope=Namespaces", "registration.by=chart", "certificates.mode=files"]
                + ["config.webhook.invalidation.authentication=TokenReview"],
                "rbac.scope: Cluster",
            ),
        ]
        for settings, way_out in cases:
            with self.subTest(settings):
                self.assertIn(way_out, refusal("--set", ",".join(settings)))

    def test_every_value_has_a_schema_and_every_schema_a_default(self):
        def keys(part, path=""):
            for key, value in part.items():
                yield f"{path}{key}"
                if isinstance(value, dict):
                    yield from keys(value, f"{path}{key}.")

        def properties(part, path=""):
            for key, value in part.get("properties", {}).items():
                yield f"{path}{key}"
                yield from properties(value, f"{path}{key}.")

        values = yaml.safe_load((CHART / "values.yaml").read_text())
        schema = json.loads((CHART / "values.schema.json").read_text())
        described = set(properties(schema)) - {"global"}
        free = ("resources.", "secretService.resources.", "strategy.", "monitoring.dashboard.labels.")  # Kubernetes' own, and examples
        given = {key for key in keys(values) if not key.startswith(free)}
        optional = {f"certificates.certManager.issuerRef.{key}" for key in ("name", "kind", "group")}
        self.assertEqual(described - optional, given)

        def closed(part):
            if part.get("type") == "object" and "properties" in part:
                self.assertIs(part.get("additionalProperties"), False, part.get("description"))
            for value in part.values():
                for one in value if isinstance(value, list) else [value]:
                    if isinstance(one, dict):
                        closed(one)

        closed(schema)

    def test_what_is_made_of_other_files_is_in_step(self):
        outcome = run(sys.executable, HERE / "generate.py", "--check")
        self.assertEqual(outcome.returncode, 0, outcome.stderr)

    def test_there_is_one_version(self):
        chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
        workspace = re.search(r'^version = "(.+)"', (ROOT / "Cargo.toml").read_text(), re.MULTILINE)[1]
        self.assertEqual([chart["version"], chart["appVersion"]], [workspace, workspace])
        images = {
            container["image"]
            for overlay in overlays()
            for pod in pods(built(overlay)).values()
            for container in pod["spec"].get("initContainers", []) + pod["spec"]["containers"]
        }
        self.assertEqual(images, {f"flyte-secrets:{workspace}"})

    def test_the_webhook_takes_the_configuration_of_every_values_file(self):
        program = os.environ.get("FLYTE_SECRETS_BIN") or self.skipTest("FLYTE_SECRETS_BIN is not set")
        for name, found in everything().items():
            for one in named(found, "ConfigMap"):
                for file, text in one["data"].items():
                    if not file.endswith(".yaml"):
                        continue
                    with self.subTest(values=name, config_map=one["metadata"]["name"]), tempfile.NamedTemporaryFile("w", suffix=".yaml") as copy:
                        copy.write(text)
                        copy.flush()
                        outcome = run(program, "config", "check", "--config", copy.name, env={"POD_NAMESPACE": NAMESPACE})
                        self.assertEqual(outcome.returncode, 0, outcome.stderr + outcome.stdout)

    def test_the_command_line_of_every_pod_can_be_read(self):
        program = os.environ.get("FLYTE_SECRETS_BIN") or self.skipTest("FLYTE_SECRETS_BIN is not set")
        for name, found in everything().items():
            for pod in pods(found).values():
                for container in pod["spec"].get("initContainers", []) + pod["spec"]["containers"]:
                    with self.subTest(values=name, args=container["args"]):
                        outcome = run(program, *container["args"], "--help")
                        self.assertEqual(outcome.returncode, 0, outcome.stderr)

    def test_every_pod_fits_pod_security_restricted(self):
        for name in [file.stem for file in values_files()]:
            for owner, pod in pods(everything()[name]).items():
                with self.subTest(values=name, of=owner):
                    self.assertEqual(list(restrictions(pod)), [])

    def test_openshift_gives_user_and_groups_itself(self):
        for owner, pod in pods(everything()["openshift"]).items():
            with self.subTest(owner):
                context = pod["spec"]["securityContext"]
                self.assertFalse({"runAsUser", "runAsGroup", "fsGroup"} & context.keys())

    def test_rbac_is_what_is_written_down(self):
        for name, found in everything().items():
            with self.subTest(name):
                golden = HERE / f"golden/{name}.rbac.yaml"
                text = yaml.safe_dump(rules(found), sort_keys=True, width=200)
                if "UPDATE_GOLDEN" in os.environ:
                    golden.write_text(text)
                self.assertEqual(text, golden.read_text() if golden.exists() else "", f"{golden.relative_to(ROOT)}: UPDATE_GOLDEN=1 writes it")

    def test_no_rule_of_the_chart_is_wider_than_it_needs_to_be(self):
        for file in values_files():
            for where, lines in rules(from_values(file)).items():
                for line in lines:
                    with self.subTest(values=file.stem, of=where):
                        self.assertNotIn("*", line)
                        if "mutatingwebhookconfigurations" in line and "create" not in line:
                            self.assertIn(" named ", line)

    def test_roles_only_needs_nothing_of_the_cluster(self):
        found = everything()["roles-only"]
        self.assertEqual(named(found, "ClusterRole") + named(found, "ClusterRoleBinding"), [])
        namespaces = {one["metadata"]["namespace"] for one in named(found, "Role")}
        self.assertEqual(namespaces, {NAMESPACE, "flyte", "flytesnacks-development", "flytesnacks-production"})

    def test_a_token_is_mounted_only_where_the_api_server_is_asked(self):
        for name in [file.stem for file in values_files()]:
            with self.subTest(name):
                (deployment,) = component(everything()[name], "webhook")
                mounted = deployment["spec"]["template"]["spec"]["automountServiceAccountToken"]
                self.assertEqual(mounted, name != "no-api")

    def test_every_role_is_bound_to_an_account_that_is_there(self):
        for name in [file.stem for file in values_files()]:
            found = everything()[name]
            accounts = {one["metadata"]["name"] for one in named(found, "ServiceAccount")}
            for kind in ("Role", "ClusterRole"):
                with self.subTest(values=name, kind=kind):
                    roles = {(one["metadata"].get("namespace"), one["metadata"]["name"]) for one in named(found, kind)}
                    bindings = named(found, f"{kind}Binding")
                    self.assertEqual(roles, {(one["metadata"].get("namespace"), one["roleRef"]["name"]) for one in bindings})
                    for binding in bindings:
                        (subject,) = binding["subjects"]
                        self.assertIn(subject["name"], accounts)
                        self.assertEqual(subject["namespace"], NAMESPACE)

    def test_a_replica_has_time_to_drain(self):
        seconds = {"s": 1, "m": 60, "h": 3600}
        defaults = yaml.safe_load((CHART / "files/defaults.yaml").read_text())["flyte2"]["webhook"]

        def duration(text):
            return sum(float(number) * seconds[unit] for number, unit in re.findall(r"([0-9.]+)([smh])(?!s)", str(text)))

        (deployment,) = named(everything()["default"], "Deployment")
        grace = deployment["spec"]["template"]["spec"]["terminationGracePeriodSeconds"]
        self.assertGreater(grace, duration(defaults["shutdownDelay"]) + duration(defaults["webhookTimeout"]) + 5)

    def test_services_budgets_and_policies_pick_the_pods_of_their_component_and_not_those_of_jobs(self):
        for name in [file.stem for file in values_files()]:
            found = everything()[name]
            selectors = [one["spec"]["selector"] for one in named(found, "Service")]
            selectors += [one["spec"]["selector"]["matchLabels"] for one in named(found, "PodDisruptionBudget") + named(found, "Deployment")]
            selectors += [one["spec"]["podSelector"]["matchLabels"] for one in named(found, "NetworkPolicy")]
            for owner, pod in pods(found).items():
                labels = pod["metadata"]["labels"]
                for selector in selectors:
                    with self.subTest(values=name, of=owner):
                        picked = selector.items() <= labels.items()
                        wanted = selector["app.kubernetes.io/component"] == labels["app.kubernetes.io/component"]
                        self.assertEqual(picked, owner.startswith("Deployment") and wanted)

    def test_ports_agree_wherever_they_are_named(self):
        for name in [file.stem for file in values_files()]:
            found = everything()[name]
            for deployment in named(found, "Deployment"):
                (container,) = deployment["spec"]["template"]["spec"]["containers"]
                labels = deployment["spec"]["template"]["metadata"]["labels"].items()
                ports = {port["name"] for port in container["ports"]}
                used = {port["targetPort"] for one in named(found, "Service") if one["spec"]["selector"].items() <= labels for port in one["spec"]["ports"]}
                policies = [one["spec"] for one in named(found, "NetworkPolicy") if one["spec"]["podSelector"]["matchLabels"].items() <= labels]
                used |= {port["port"] for policy in policies for rule in policy["ingress"] for port in rule["ports"]}
                used |= {container[probe]["httpGet"]["port"] for probe in ("readinessProbe", "livenessProbe")}
                with self.subTest(values=name, of=deployment["metadata"]["name"]):
                    self.assertEqual(used, ports)
        self.assertNotIn("invalidation", json.dumps(everything()["no-api"]))

    def test_uninstalling_needs_no_job_unless_the_webhook_makes_objects(self):
        with_jobs = {name for name, found in everything().items() if named(found, "Job")}
        self.assertEqual(with_jobs, {"auto", "flyte1", "everything", "overlay-flyte1"})
        for name in ("auto", "everything"):
            (job,) = named(everything()[name], "Job")
            self.assertEqual(job["metadata"]["annotations"]["helm.sh/hook"], "post-delete")

    def test_what_replicas_share_is_of_the_release(self):
        found = everything()["default"]
        (registration,) = named(found, "MutatingWebhookConfiguration")
        self.assertNotIn("webhooks", registration, "the webhook fills it")
        (secret,) = named(found, "Secret")
        self.assertFalse({"data", "stringData"} & secret.keys(), "the webhook fills it")
        (lease,) = named(found, "Lease")
        self.assertNotIn("spec", lease, "the webhook fills it")

    def test_a_changed_configuration_restarts_the_pods(self):
        def checksum(*arguments):
            (deployment,) = named(rendered(*arguments), "Deployment")
            return deployment["spec"]["template"]["metadata"]["annotations"]["flyte-secrets/config-checksum"]

        self.assertEqual(checksum(), checksum("--set", "replicas=3"))
        self.assertNotEqual(checksum(), checksum("--set", "config.webhook.delivery=PodSpec"))

    def test_every_command_of_the_page_on_installing_can_be_run(self):
        text = (ROOT / "docs/install.md").read_text()
        blocks = "\n".join(re.findall(r"```sh\n(.*?)```", text, re.DOTALL)).replace("\\\n", " ")
        charts = [shlex.split(line)[2:] for line in blocks.splitlines() if re.match("helm (install|upgrade) .*charts/flyte-secrets", line)]
        self.assertGreater(len(charts), 3)
        for arguments in charts:
            with self.subTest(arguments):
                helm("template", *(word for word in arguments if word not in ("--create-namespace", "--take-ownership", "--install")), cwd=ROOT)
        applied = set(re.findall(r"kubectl (?:apply|kustomize|delete) -k (\S+)", blocks))
        self.assertEqual(applied, {f"deploy/kustomize/{overlay.name}" for overlay in overlays()})

    def test_the_secret_service_tells_the_webhooks_replicas_and_is_let_in(self):
        found = everything()["secret-service"]
        (deployment,) = component(found, "secret-service")
        (container,) = deployment["spec"]["template"]["spec"]["containers"]
        flags = dict(argument.removeprefix("--secret.").split("=", 1) for argument in container["args"] if argument.startswith("--secret."))
        services = {f"http://{one['metadata']['name']}.{one['metadata']['namespace']}.svc:{port['port']}" for one in named(found, "Service") if one["spec"].get("clusterIP") == "None" for port in one["spec"]["ports"]}
        self.assertIn(flags["webhookURL"], services)
        self.assertTrue(flags["webhookTokenFile"].startswith("/var/run/secrets/kubernetes.io/serviceaccount/"))
        self.assertIn(flags["server.certDir"], [mount["mountPath"] for mount in container["volumeMounts"]])
        config = yaml.safe_load(next(iter(named(found, "ConfigMap")[0]["data"].values())))
        account = f"{NAMESPACE}/{deployment['spec']['template']['spec']['serviceAccountName']}"
        self.assertEqual(config["webhook"]["invalidation"]["allowedServiceAccounts"], ["flyte/other", account])

    def test_the_secret_service_has_no_right_but_on_secrets_where_it_stores(self):
        ours = {where: lines for where, lines in rules(everything()["secret-service"]).items() if where.endswith("-service")}
        self.assertEqual(ours, {f"Role flyte/{NAMESPACE}-flyte-secrets-service": ["get, list, create, update, delete on secrets of core"]})

    def test_over_a_store_outside_of_the_cluster_the_secret_service_has_no_right_in_it(self):
        found = rendered("--set", "secretService.enabled=true,config.secret.store=AWS")
        self.assertFalse([where for where in rules(found) if where.endswith("-service")])

    def test_without_the_secret_service_nothing_of_it_is_there(self):
        self.assertNotIn("secret-service", json.dumps(everything()["default"]))

    def test_two_releases_in_one_cluster_share_no_object_of_the_cluster(self):
        def names(release, namespace):
            found = objects(helm("template", release, CHART, "--namespace", namespace))
            return {(one["kind"], one["metadata"]["name"]) for one in found if "namespace" not in one["metadata"]}

        self.assertFalse(names("one", "flyte") & names("two", "flyte"))
        roles = {one for one in names("one", "a") & names("one", "b") if one[0] != "MutatingWebhookConfiguration"}
        self.assertFalse(roles)

    def test_the_notes_say_who_may_read_secrets(self):
        def notes(name):
            return helm("install", RELEASE, CHART, "--namespace", NAMESPACE, "--dry-run=client", "--values", HERE / f"values/{name}.yaml").split("NOTES:")[1]

        self.assertIn("may read and write Secrets in all namespaces", notes("default"))
        self.assertIn("no access to Secrets of other namespaces", notes("files"))
        self.assertIn("may read Secrets in all namespaces", notes("cert-manager"))
        self.assertIn("flytesnacks-development, flytesnacks-production", notes("roles-only"))


class Overlays(unittest.TestCase):
    def test_flyte_1s_manifests_differ_in_nothing_but_the_image(self):
        theirs = json.dumps(built(ROOT / "deploy/kustomize/flyte1/flyte"), sort_keys=True)
        ours = json.dumps(built(ROOT / "deploy/kustomize/flyte1"), sort_keys=True)
        self.assertNotEqual(theirs, ours)
        self.assertEqual(re.sub(r'"cr\.flyte\.org/flyteorg/flytepropeller:[^"]+"', '"image"', theirs), re.sub(r'"flyte-secrets:[^"]+"', '"image"', ours))

    def test_flyte_1s_cluster_role_stays(self):
        for name in ("flyte1", "flyte1-init-container", "flyte1-no-job"):
            (role,) = named(everything()[f"overlay-{name}"], "ClusterRole")
            self.assertEqual(role["rules"][0]["verbs"], ["get", "create", "update", "patch"])

    def test_beside_flyte_2_no_name_is_flytes(self):
        flytes = {"flyte-pod-webhook", "flyte-binary-webhook", "flyte-binary-webhook-secret", "flyte-binary-webhook-headless"}
        self.assertFalse({one["metadata"]["name"] for one in everything()["overlay-flyte2-beside"]} & flytes)

    def test_flyte_2_tells_the_headless_service_of_changed_secrets(self):
        values = yaml.safe_load((ROOT / "deploy/kustomize/flyte2-beside/flyte-values.yaml").read_text())
        url = values["configuration"]["inline"]["secret"]["webhookURL"]
        services = {f"http://{one['metadata']['name']}.{one['metadata']['namespace']}.svc:{port['port']}" for one in named(everything()["overlay-flyte2-beside"], "Service") for port in one["spec"]["ports"]}
        self.assertIn(url, services)


if __name__ == "__main__":
    unittest.main()
