"""The manifests render, a cluster would take them, and they say what the code says: who needs what, under which name,
at which port, and who may speak to whom.
"""

import json
import os
import re
import shutil
import subprocess
import sys
from importlib import util
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from conftest import need
from manifests import (
    ENTRIES,
    OVERLAYS,
    ROOT,
    Object,
    container,
    environment,
    modules,
    named,
    objects,
    one,
    ours,
    pods,
    schema,
    secret_files,
    settings_needed,
    settings_read,
)

import heed
from heed.secrets import _READERS
from heed.settings import Settings
from heed.web import guards
from ticketing import webhook

KUBERNETES = "1.35"
SERVICES = ("feedback", "results", "worker", "relay", "ticketing", "backup")
STORES = ("redis", "postgres")
STANDINS = ("aws", "sandbox")
NAME = "app.kubernetes.io/name"

each_overlay = pytest.mark.parametrize("overlay", OVERLAYS)


@pytest.fixture(autouse=True)
def _kubectl() -> None:
    need(shutil.which("kubectl") is not None, "kubectl")


def compose(*files: str) -> dict[str, Object]:
    """The services of Compose's files, one over the other."""
    services: dict[str, Object] = {}
    for file in files:
        for name, each in yaml.safe_load((ROOT / file).read_text(encoding="utf-8"))["services"].items():
            services[name] = {**services.get(name, {}), **each}
    return services


# Schemas


@each_overlay
def test_every_object_is_as_its_schema_says(overlay: str) -> None:
    need(util.find_spec("kubernetes_validate") is not None, "kubernetes-validate (from PyPI)")
    import kubernetes_validate

    for each in objects(overlay):
        group, _, version = each["apiVersion"].rpartition("/")
        if "." in group and not group.endswith(".k8s.io"):
            jsonschema.validate(each, schema(group, version, each["kind"]))
        else:
            kubernetes_validate.validate(each, KUBERNETES, strict=True)


def test_a_wrong_object_is_found() -> None:
    need(util.find_spec("kubernetes_validate") is not None, "kubernetes-validate (from PyPI)")
    import kubernetes_validate

    service = named("eks", "Service")["feedback"]
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate({**service, "spec": {**service["spec"], "port": 5000}}, KUBERNETES, strict=True)
    scaled = named("eks", "ScaledObject")["worker"]
    wrong = {**scaled, "spec": {**scaled["spec"], "maxReplicas": 3}}
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(wrong, schema("keda.sh", "v1alpha1", "ScaledObject"))


@each_overlay
def test_all_is_in_the_namespace_and_named_once(overlay: str) -> None:
    """Who delivers may change this namespace alone (terraform-eks/cluster.tf)."""
    seen = set()
    for each in objects(overlay):
        assert each["metadata"]["namespace"] == "heed"
        assert each["metadata"]["labels"]["app.kubernetes.io/part-of"] == "heed"
        key = (each["kind"], each["metadata"]["name"])
        assert key not in seen
        seen.add(key)


# What a pod may do


@each_overlay
def test_containers_can_do_little(overlay: str) -> None:
    for name, pod in pods(overlay).items():
        spec, it = pod["spec"], container(pod)
        assert spec["securityContext"]["runAsNonRoot"] is True, name
        assert spec["securityContext"]["runAsUser"] >= 999, name
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}, name
        assert it["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }, name
        assert not {"hostNetwork", "hostPID", "hostIPC"} & spec.keys(), name
        # Nobody asks the cluster anything, so nobody has a token for it.
        assert spec["automountServiceAccountToken"] is False, name
        assert named(overlay, "ServiceAccount")[spec["serviceAccountName"]]["automountServiceAccountToken"] is False
        assert {volume["name"] for volume in spec["volumes"]} | {"data"} >= {
            mount["name"] for mount in it["volumeMounts"]
        }, name
    kinds = {each["kind"] for each in objects(overlay)}
    assert not {"Role", "ClusterRole", "RoleBinding", "ClusterRoleBinding"} & kinds


@each_overlay
def test_containers_have_limits_and_known_images(overlay: str) -> None:
    for name, pod in pods(overlay).items():
        it = container(pod)
        for bound in ("requests", "limits"):
            assert {"cpu", "memory"} <= it["resources"][bound].keys(), name
        repository, _, tag = it["image"].rpartition(":")
        assert repository, name
        assert tag != "latest", name
        if name not in STORES:
            assert tag == heed.__version__, name
        assert it.get("imagePullPolicy", "IfNotPresent") == "IfNotPresent", name


@each_overlay
def test_health_is_progress(overlay: str) -> None:
    for name in SERVICES:
        it = container(pods(overlay)[name])
        [port] = it["ports"]
        paths = {probe: it[f"{probe}Probe"]["httpGet"] for probe in ("startup", "readiness", "liveness")}
        assert {get["port"] for get in paths.values()} == {port["name"]}, name
        # Taken into service once it had what it needs; then it counts that it goes on, whoever is away.
        assert [get["path"] for get in paths.values()] == ["/readyz", "/healthz", "/healthz"], name
        patience = it["startupProbe"]["periodSeconds"] * it["startupProbe"]["failureThreshold"]
        assert patience >= 300, f"{name} may wait for a migration"
        assert named(overlay, "Deployment")[name]["spec"]["progressDeadlineSeconds"] > patience
    for name in (*STORES, *STANDINS):
        if name in pods(overlay):
            assert {"startupProbe", "readinessProbe", "livenessProbe"} <= container(pods(overlay)[name]).keys()


@each_overlay
def test_a_node_or_a_zone_may_go(overlay: str) -> None:
    budgets = named(overlay, "PodDisruptionBudget")
    lasting = {*SERVICES, *(STORES if overlay != "eks-managed" else ())}
    assert budgets.keys() == lasting
    for name in lasting:
        spec = budgets[name]["spec"]
        assert spec["selector"]["matchLabels"] == {NAME: name} == _chosen(pods(overlay)[name])
        # Else the one Redis would keep its node from being drained for ever.
        assert (spec["maxUnavailable"], spec["unhealthyPodEvictionPolicy"]) == (1, "AlwaysAllow")
        # Nor does one node less to pay for make an outage worth while.
        if name in STORES:
            said = pods(overlay)[name]["metadata"]["annotations"]
            assert said["cluster-autoscaler.kubernetes.io/safe-to-evict"] == "false"
    for name in SERVICES:
        spread = pods(overlay)[name]["spec"]["topologySpreadConstraints"]
        assert [each["topologyKey"] for each in spread] == ["topology.kubernetes.io/zone", "kubernetes.io/hostname"]
        assert all(each["labelSelector"]["matchLabels"] == {NAME: name} for each in spread), name


def _chosen(pod: Object) -> dict[str, str]:
    return {NAME: pod["metadata"]["labels"][NAME]}


# Settings and secrets


@each_overlay
def test_every_variable_is_a_setting_that_its_service_reads(overlay: str) -> None:
    for name, pod in ours(overlay).items():
        variables = environment(overlay, pod)
        assert variables.pop("HEED_SECRETS_DIR", None) == ("/etc/heed/secrets" if secret_files(pod) else None), name
        given = {variable.removeprefix("HEED_").lower() for variable in {*variables, *secret_files(pod)}}
        assert given <= Settings.model_fields.keys(), name
        assert given <= settings_read(name), f"{name} reads no {given - settings_read(name)}"
        # The address of a stand-in makes up for the account.
        needed = settings_needed(name) - ({"zendesk_subdomain"} if "HEED_ZENDESK_URL" in variables else set())
        if "HEED_OIDC_ISSUER" not in variables:  # who logs in by a password needs no provider
            needed -= {each for each in needed if each.startswith("oidc_")}
        assert needed <= given, f"{name} cannot start without {needed - given}"


@each_overlay
def test_settings_make_sense_together(overlay: str) -> None:
    for pod in ours(overlay).values():
        values = {key.removeprefix("HEED_").lower(): value for key, value in environment(overlay, pod).items() if value}
        values.pop("secrets_dir", None)
        Settings(**values)  # raises what a service would say at its start
    settings = one(overlay, "ConfigMap", "settings")["data"]
    read = set().union(*(settings_read(name) for name in ours(overlay)))
    assert {key.removeprefix("HEED_").lower() for key in settings} <= read


@each_overlay
def test_secrets_are_files_and_each_service_has_its_own(overlay: str) -> None:
    secret = {name for name, field in Settings.model_fields.items() if "SecretStr" in str(field.annotation)}
    for name, pod in pods(overlay).items():
        variables = environment(overlay, pod)
        open_ones = {each for each in variables if each.removeprefix("HEED_").lower() in secret}
        assert not open_ones, f"{name} has {open_ones} in its environment, where every crash report finds it"
        assert "secretKeyRef" not in str(pod), name
        assert not any("password" in str(value).lower() and "/run/" not in value for value in variables.values()), name
    desk = {"HEED_ZENDESK_SUBDOMAIN", "HEED_ZENDESK_EMAIL", "HEED_ZENDESK_TOKEN"}
    expected = {service: set(_READERS[service]) for service in ("feedback", "results", "worker", "ticketing")}
    expected["relay"] = expected["backup"] = expected["worker"]
    expected["migrate"] = {"HEED_DATABASE_URL"}
    expected["backup-check"] = set()
    expected["ticketing"] |= desk
    expected["results"] |= {"HEED_ZENDESK_SUBDOMAIN"}
    if "login-provider" in overlay:
        expected["results"] |= {"HEED_OIDC_CLIENT_SECRET"}
    expected["redis"] = {"REDIS_PASSWORD", "redis.conf"}
    expected["postgres"] = {"POSTGRES_PASSWORD"}
    expected["sandbox"] = set(_READERS["sandbox"])
    expected["aws"] = set()
    assert {name: set(secret_files(pod)) for name, pod in pods(overlay).items()} == {
        name: expected[name] for name in pods(overlay)
    }


def _mounted(overlay: str) -> set[tuple[str, str]]:
    return {(secret, key) for pod in pods(overlay).values() for key, secret in secret_files(pod).items()}


def test_every_secret_that_is_mounted_is_made() -> None:
    for name, each in named("eks", "ExternalSecret").items():
        assert each["spec"]["target"]["name"] == name
        assert each["spec"]["dataFrom"] == [{"extract": {"key": f"heed/production/{name}"}}]
    assert named("eks", "ExternalSecret").keys() == {secret for secret, _ in _mounted("eks")}
    terraform = ROOT / "terraform-eks/secrets.tf"
    if terraform.exists():
        described = dict(re.findall(r'^ +(\w+) += "(.*)"$', terraform.read_text(encoding="utf-8"), re.MULTILINE))
        assert {each for each in _mounted("eks") if each[1] not in described[each[0]]} == set()
    script = (ROOT / "k8s/overlays/local/secrets").read_text(encoding="utf-8")
    made = {
        (secret, key)
        for secret, keys in re.findall(r"^create (\w+)((?:\\\n|[^\n])*)", script, re.MULTILINE)
        for key in re.findall(r'[ "]([A-Za-z_.]+)=', keys)
    }
    assert made == _mounted("local")


# The same system as Compose's


def test_workloads_images_and_commands_are_composes() -> None:
    services = compose("docker-compose.yml", "docker-compose.override.yml")
    assert pods("local").keys() - {"backup-check"} == services.keys() - {"secrets", "prometheus", "grafana"}
    for name, pod in pods("local").items():
        if name != "backup-check":
            it, there = container(pod), services[name]
            image = there["image"].replace("${HEED_VERSION:-latest}", heed.__version__)
            assert it["image"] == image, name
            command = it.get("command") or it.get("args")
            if name == "postgres":
                assert command == ["-c", "max_connections=300"]
            else:
                said = there.get("command", [])
                wanted = [word.replace("${HEED_REDIS_MEMORY:-512mb}", "512mb") for word in said]
                assert (command or []) == wanted, name
    for name in ("POSTGRES_USER", "POSTGRES_DB", "POSTGRES_PASSWORD_FILE", "LANG"):
        assert environment("local", pods("local")["postgres"])[name] == services["postgres"]["environment"][name]


def test_commands_lead_where_the_code_begins() -> None:
    for name, pod in ours("local").items():
        command = container(pod).get("command")
        if command is None:
            dockerfile = {"feedback": "api", "sandbox": "local"}.get(name, name)
            [words] = re.findall(r"^CMD (\[.*\])$", (ROOT / dockerfile / "Dockerfile").read_text(), re.MULTILINE)
            command = yaml.safe_load(words)
        if command[:2] == ["python", "-m"]:
            assert ENTRIES[name] in ((command[2],), (f"{command[2]}.__main__",)), name
        else:
            assert command in (["heed", "migrate"], ["heed", "backup", "--check", "latest"]), name


@each_overlay
def test_ports_are_the_codes_and_prometheus(overlay: str) -> None:
    monitored = {}
    for job in yaml.safe_load((ROOT / "monitoring/prometheus.yml").read_text())["scrape_configs"]:
        monitored[job["job_name"]] = job["dns_sd_configs"][0]["port"]
    assert monitored.keys() == set(SERVICES)
    for name, service in named(overlay, "Service").items():
        [port] = service["spec"]["ports"]
        [opened] = container(pods(overlay)[name])["ports"]
        assert service["spec"]["selector"] == {NAME: name}
        assert service["metadata"]["labels"][NAME] == name
        assert (port["targetPort"], port["port"]) == (opened["name"], opened["containerPort"]), name
        assert monitored.get(name, port["port"]) == port["port"]
        dockerfile = {"feedback": "api", "results": "api", "relay": "worker", "aws": "local", "sandbox": "local"}
        if name not in STORES:
            text = (ROOT / dockerfile.get(name, name) / "Dockerfile").read_text(encoding="utf-8")
            [exposed] = re.findall(r"^EXPOSE (.*)$", text, re.MULTILINE)
            assert str(port["port"]) in exposed.split(), name
    assert named(overlay, "Service").keys() >= set(SERVICES)
    defaults = {name: Settings.model_fields[f"{name}_port"].default for name in ("feedback", "results")}
    assert defaults == {name: monitored[name] for name in defaults}


# Who may speak to whom


def _selects(selector: Object, labels: dict[str, str]) -> bool:
    for key, value in selector.get("matchLabels", {}).items():
        if labels.get(key) != value:
            return False
    for rule in selector.get("matchExpressions", []):
        inside = labels.get(rule["key"]) in rule["values"]
        if inside != (rule["operator"] == "In"):
            return False
    return True


def _paths(overlay: str, direction: str) -> tuple[set[tuple[str, str, int]], set[tuple[str, str, int]]]:
    """What policies let through in one direction: between our workloads (from, to, port), and between a workload and
    somebody outside (workload, who, port)."""
    inner, outer = set(), set()
    labels = {name: pod["metadata"]["labels"] for name, pod in pods(overlay).items()}
    side = "from" if direction == "Ingress" else "to"
    for policy in named(overlay, "NetworkPolicy").values():
        spec = policy["spec"]
        for name in (name for name in labels if _selects(spec["podSelector"], labels[name])):
            for rule in spec.get(direction.lower(), []):
                assert rule[side], "who is not said is everybody"
                for peer in rule[side]:
                    for port in (entry["port"] for entry in rule["ports"]):
                        if "ipBlock" in peer:
                            outer.add((name, peer["ipBlock"]["cidr"], port))
                        elif "namespaceSelector" in peer:
                            [namespace] = peer["namespaceSelector"]["matchLabels"].values()
                            [who] = peer["podSelector"]["matchLabels"].values()
                            outer.add((name, f"{namespace}/{who}", port))
                        else:
                            others = [other for other in labels if _selects(peer["podSelector"], labels[other])]
                            assert others, policy
                            pair = [(name, other) if side == "to" else (other, name) for other in others]
                            inner |= {(*each, port) for each in pair}
    return inner, outer


def _dependencies(overlay: str) -> tuple[set[tuple[str, str, int]], set[tuple[str, str, int]]]:
    """What the code needs: which libraries and settings its modules bring along."""
    inner, outer = set(), set()
    for name, pod in ours(overlay).items():
        libraries = modules(name)
        if "redis_url" in settings_read(name):
            inner.add((name, "redis", 6379))
        if "database_url" in settings_read(name):
            inner.add((name, "postgres", 5432))
        if overlay == "local":
            if name not in STANDINS and "aws_endpoint" in settings_read(name):
                inner.add((name, "aws", 4566))
            if "zenpy" in libraries:
                inner.add((name, "sandbox", 5002))
            if "sandbox_webhook_url" in settings_read(name):
                inner.add((name, "ticketing", 9000))
        else:
            provider = "httpx" in libraries and "HEED_OIDC_ISSUER" in environment(overlay, pod)
            if provider or libraries & {"boto3", "zenpy", "requests"}:
                outer.add((name, "0.0.0.0/0", 443))
            if "boto3" in libraries:
                outer.add((name, "169.254.170.23/32", 80))  # where a pod gets its role's credentials
        outer.add((name, "kube-system/kube-dns", 53))
    if overlay == "eks-managed":
        outer |= {(name, "10.0.0.0/8", port) for name, store, port in inner if store in STORES}
        inner = {path for path in inner if path[1] not in STORES}
    return inner, outer


@each_overlay
def test_every_path_is_a_dependency_and_every_dependency_has_its_path(overlay: str) -> None:
    deny = named(overlay, "NetworkPolicy")["deny-all"]["spec"]
    assert (deny["podSelector"], deny["policyTypes"]) == ({}, ["Ingress", "Egress"])
    assert not {"ingress", "egress"} & deny.keys()
    going, away = _paths(overlay, "Egress")
    coming, entering = _paths(overlay, "Ingress")
    needed, outside = _dependencies(overlay)
    assert going == needed
    assert coming == needed, "both ends of a path have to be open"
    assert away == outside
    if overlay == "local":
        assert entering == set()
    else:
        ports = {name: container(pods(overlay)[name])["ports"][0]["containerPort"] for name in SERVICES}
        assert entering == {(name, "monitoring/prometheus", port) for name, port in ports.items()} | {
            (name, "traefik/traefik", ports[name]) for name in ("feedback", "results", "ticketing")
        }


def test_the_metadata_of_the_machine_is_out_of_reach() -> None:
    for overlay in ("eks", "eks-managed"):
        for policy in named(overlay, "NetworkPolicy").values():
            for rule in policy["spec"].get("egress", []):
                for block in (peer["ipBlock"] for peer in rule["to"] if "ipBlock" in peer):
                    if block["cidr"] == "0.0.0.0/0":
                        assert "169.254.0.0/16" in block["except"]


# The way in, scaling, alerts


def test_the_way_in() -> None:
    hosts = {"feedback": "feedback.heed.example", "results": "results.heed.example"}
    settings = one("eks", "ConfigMap", "settings")["data"]
    assert {name: settings[f"HEED_{name.upper()}_URL"] for name in hosts} == {
        name: f"https://{host}" for name, host in hosts.items()
    }
    routes = named("eks", "IngressRoute")
    middlewares = named("eks", "Middleware")
    reached = set()
    for route in routes.values():
        for rule in route["spec"]["routes"]:
            assert any(f"Host(`{host}`)" in rule["match"] for host in hosts.values())
            assert all(used["name"] in middlewares for used in rule["middlewares"])
            [service] = rule["services"]
            [port] = named("eks", "Service")[service["name"]]["spec"]["ports"]
            assert service["port"] == port["name"]
            assert route["spec"]["entryPoints"] == ["websecure"]
            assert route["spec"]["tls"] == {}  # Traefik's own certificate, seen by the load balancer alone
            used = {middleware["name"] for middleware in rule["middlewares"]}
            assert "only-tls" in used
            assert any("rateLimit" in middlewares[each]["spec"] for each in used)
            reached.add((service["name"], "Path(`/webhook`)" in rule["match"]))
            if "Method(" in rule["match"]:
                assert any("buffering" in middlewares[each]["spec"] for each in used)
            else:  # what is buffered is no live stream any more
                assert not any("buffering" in middlewares[each]["spec"] for each in used)
                assert "!PathRegexp(`^/(healthz|readyz|metrics)$`)" in rule["match"]
    assert reached == {("feedback", False), ("results", False), ("ticketing", True)}
    buffers = {name: each["spec"]["buffering"] for name, each in middlewares.items() if "buffering" in each["spec"]}
    limits = {name: each["maxRequestBodyBytes"] for name, each in buffers.items()}
    assert limits == {"body": guards.BODY_MAX, "webhook-body": webhook.BODY_MAX}


@pytest.mark.parametrize("overlay", ["eks", "eks-managed"])
def test_scaling_asks_for_what_there_is(overlay: str) -> None:
    telemetry = (ROOT / "heed/telemetry.py").read_text(encoding="utf-8")
    scaled = {}
    for kind in ("ScaledObject", "HorizontalPodAutoscaler"):
        for name, each in named(overlay, kind).items():
            spec = each["spec"]
            assert spec["scaleTargetRef"]["name"] == name
            scaled[name] = spec.get("maxReplicas") or spec["maxReplicaCount"]
            assert (spec.get("minReplicas") or spec["minReplicaCount"]) >= 2
            for trigger in spec.get("triggers", []):
                for metric in re.findall(r"heed_\w+", trigger["metadata"].get("query", "")):
                    assert f'"{metric}"' in telemetry
    deployments = named(overlay, "Deployment")
    # What somebody else scales, the next `kubectl apply` must not scale back.
    assert {name for name in SERVICES if "replicas" not in deployments[name]["spec"]} == scaled.keys()
    [queue] = named(overlay, "ScaledObject")["ticketing"]["spec"]["triggers"]
    settings = one(overlay, "ConfigMap", "settings")["data"]
    assert queue["metadata"]["queueURL"].endswith(f"/{settings['HEED_EVENT_QUEUE']}")
    assert queue["metadata"]["awsRegion"] == settings["HEED_AWS_REGION"]
    assert queue["authenticationRef"]["name"] in named(overlay, "TriggerAuthentication")


def test_postgres_has_connections_for_all_of_them() -> None:
    """Each pool may grow to twice its size (heed.db.engine); a results site listens besides."""
    from api.feedback.progress import THREADS as ASKING
    from ticketing.consumer import THREADS as TICKETING

    most = {"relay": 2, "backup": 1}
    for kind, field in (("ScaledObject", "maxReplicaCount"), ("HorizontalPodAutoscaler", "maxReplicas")):
        most |= {name: each["spec"][field] for name, each in named("eks", kind).items()}
    pools = {"feedback": 2 * ASKING, "results": 2 * 5 + 1, "worker": 2 * 2, "relay": 2 * 3}
    pools["ticketing"] = 2 * (TICKETING + 2)
    pools["backup"] = 2 + 2 + 1  # its check, a dump's transaction, pg_dump's own
    assert pools.keys() == most.keys()
    [limit] = re.findall(r"max_connections=(\d+)", str(container(pods("eks")["postgres"])["args"]))
    assert sum(pools[name] * most[name] for name in pools) + 10 <= int(limit)  # ten for people, a migration, a restore


def test_alerts_are_the_projects_own() -> None:
    rules = named("eks", "PrometheusRule")["heed"]["spec"]["groups"]
    assert rules == yaml.safe_load((ROOT / "monitoring/alerts.yml").read_text())["groups"], "run: make k8s-alerts"


def test_prometheus_asks_everybody_under_the_name_that_alerts_know() -> None:
    monitor = named("eks", "ServiceMonitor")["heed"]["spec"]
    assert monitor["jobLabel"] == NAME
    services = named("eks", "Service")
    chosen = {name for name, each in services.items() if _selects(monitor["selector"], each["metadata"]["labels"])}
    assert chosen == set(SERVICES)
    ports = {endpoint["port"] for endpoint in monitor["endpoints"]}
    assert all(services[name]["spec"]["ports"][0]["name"] in ports for name in chosen)


def test_managed_stores_leave_nothing_of_the_others() -> None:
    left = {(each["kind"], each["metadata"]["name"]) for each in objects("eks-managed")}
    assert not {kind for kind, name in left if name.startswith(STORES) and kind not in ("ExternalSecret",)}
    gone: set[tuple[str, Any]] = {(each["kind"], each["metadata"]["name"]) for each in objects("eks")} - left
    assert {name.split("-")[0] for _, name in gone} == set(STORES)


# What brings it to a cluster


OUTPUTS: dict[str, Any] = {
    "settings": {
        "value": {
            "HEED_AWS_REGION": "eu-west-1",
            "HEED_EVENT_BUS": "voices",
            "HEED_EVENT_QUEUE": "voices-tickets",
            "HEED_BACKUP_TO": "s3://heed-staging-backups-123456789012/postgres",
            "HEED_FEEDBACK_URL": "https://say.shop.test",
            "HEED_RESULTS_URL": "https://hear.shop.test",
        }
    },
    "secrets": {"value": ["heed/staging/app", "heed/staging/database", "heed/staging/redis", "heed/staging/zendesk"]},
    "queue_url": {"value": "https://sqs.eu-west-1.amazonaws.com/123456789012/voices-tickets"},
    "registry": {"value": "123456789012.dkr.ecr.eu-west-1.amazonaws.com"},
    "kubeconfig": {"value": "aws eks update-kubeconfig --region eu-west-1 --name heed-staging"},
    "deployer_role": {"value": None},
}


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """The files that deploying reads, to change."""
    for folder in ("k8s", "deploy", "monitoring"):
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=shutil.ignore_patterns("__pycache__"))
    return tmp_path


def run(folder: Path, *command: str, given: str = "", **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command,
        cwd=folder,
        # No cluster is reached, whatever the machine's own configuration says.
        env={**os.environ, "KUBECONFIG": "/dev/null", **variables},
        input=given,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_what_terraform_built_is_taken_over_everywhere(checkout: Path) -> None:
    outputs = ROOT / "terraform-eks/outputs.tf"
    if outputs.exists():
        text = outputs.read_text(encoding="utf-8")
        assert OUTPUTS.keys() <= set(re.findall(r'^output "(\w+)"', text, re.MULTILINE))
        assert set(re.findall(r"^ +(HEED_\w+) += ", text, re.MULTILINE)) == OUTPUTS["settings"]["value"].keys()
    refused = run(checkout, "k8s/deploy", "migrate", OVERLAY="eks", TAG="abc")
    assert refused.returncode == 1
    assert "are not this installation's yet: make cluster-settings" in refused.stderr
    taken = run(checkout, sys.executable, "k8s/settings.py", given=json.dumps(OUTPUTS))
    assert taken.returncode == 0, taken.stderr
    # Nothing of the example's is left; and the folder that names the images renders, before any cluster is asked.
    refused = run(checkout, "k8s/deploy", "migrate", OVERLAY="eks", TAG="0123456789ab")
    assert "there is no namespace heed: make cluster" in refused.stderr
    rendered = run(checkout, "kubectl", "kustomize", "build/deploy-eks").stdout
    for left in ("heed.example", "000000000000", "eu-central-1", "heed/production"):
        assert left not in rendered
    everything = list(yaml.safe_load_all(rendered))
    by = {(each["kind"], each["metadata"]["name"]): each["spec"] for each in everything if "spec" in each}
    assert {rule["match"].split("`")[1] for rule in by["IngressRoute", "feedback"]["routes"]} == {"say.shop.test"}
    assert {rule["match"].split("`")[1] for rule in by["IngressRoute", "results"]["routes"]} == {"hear.shop.test"}
    [sqs] = by["ScaledObject", "ticketing"]["triggers"]
    assert (sqs["metadata"]["queueURL"], sqs["metadata"]["awsRegion"]) == (OUTPUTS["queue_url"]["value"], "eu-west-1")
    assert by["SecretStore", "secrets-manager"]["provider"]["aws"]["region"] == "eu-west-1"
    [extract] = by["ExternalSecret", "app"]["dataFrom"]
    assert extract["extract"]["key"] == "heed/staging/app"
    images = set(re.findall(r"image: (\S+/heed-\S+)", rendered))
    registry = OUTPUTS["registry"]["value"]
    assert images == {f"{registry}/heed-{name}:0123456789ab" for name in ("api", "worker", "ticketing", "backup")}
    # A provider to log in by, as k8s/README.md says it, but nobody said which.
    overlay = checkout / "k8s/overlays/eks/kustomization.yaml"
    overlay.write_text(overlay.read_text() + "\ncomponents: [../../components/login-provider]\n")
    refused = run(checkout, "k8s/deploy", "migrate", OVERLAY="eks", TAG="0123456789ab")
    assert "names hosts that there are not" in refused.stderr
    assert "https://login.heed.example" in refused.stderr
    rendered = run(checkout, "kubectl", "kustomize", "build/deploy-eks").stdout
    assert "key: heed/staging/oidc" in rendered


def test_deploying_says_what_it_cannot_do(checkout: Path) -> None:
    for command, variables, said in [
        (("k8s/deploy", "services"), {"OVERLAY": "moon", "TAG": "1"}, "there is no overlay moon"),
        (("k8s/deploy", "services"), {"OVERLAY": "local", "TAG": ""}, "TAG says which images"),
        (("k8s/deploy", "rollback"), {"OVERLAY": "local"}, "nothing to go back to"),
        (("k8s/deploy", "jump"), {"OVERLAY": "local"}, "usage:"),
        (("k8s/deploy", "migrate"), {"OVERLAY": "local", "TAG": "1"}, "there is no namespace heed: make cluster"),
    ]:
        ran = run(checkout, *command, **variables)
        assert ran.returncode == 1, command
        assert said in ran.stderr


@pytest.mark.parametrize("kind", ["local", "eks"])
def test_what_belongs_to_the_cluster_is_apart(kind: str) -> None:
    ran = run(ROOT, "kubectl", "kustomize", f"k8s/cluster/{kind}")
    apart = {each["kind"]: each for each in yaml.safe_load_all(ran.stdout)}
    assert apart.keys() == {"Namespace", "PriorityClass"} | ({"StorageClass"} if kind == "eks" else set())
    for name in STORES:
        priority = pods(kind)[name]["spec"]["priorityClassName"]
        assert priority == apart["PriorityClass"]["metadata"]["name"]
    assert all("priorityClassName" not in pods(kind)[name]["spec"] for name in SERVICES)
    assert apart["Namespace"]["metadata"]["name"] == "heed"
    assert apart["Namespace"]["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"
    if kind == "eks":
        storage = apart["StorageClass"]
        assert (storage["parameters"]["encrypted"], storage["reclaimPolicy"]) == ("true", "Retain")
        for name in STORES:
            [claim] = named("eks", "StatefulSet")[name]["spec"]["volumeClaimTemplates"]
            assert claim["spec"]["storageClassName"] == storage["metadata"]["name"]
