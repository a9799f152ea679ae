"""`terraform-eks/` is right as far as that can be known without an account: Terraform itself reads it, plans it with
mocked providers, and what it plans equals what the code calls, names and expects.

The registry is not needed: see `schema_server.py`. Where it can be reached, the last test plans with the real ones.
"""

import ast
import functools
import json
import os
import re
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import hcl2
import pytest
import yaml
from conftest import need, wait_for
from results_data import event
from schema_server import KINDS, SCHEMAS, Providers, kept, pinned, published

from heed.contracts import NegativeFeedback, rule_pattern
from heed.db import outbox
from heed.secrets import _READERS
from heed.settings import Settings
from local import aws
from ticketing import handler
from ticketing.queue import Queue
from worker.bus import Bus

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "terraform-eks"
MODULES = Path(__file__).parent / "data/modules"
# Services whose pods call nothing of AWS.
NO_ROLE = {"feedback", "results", "worker", "migrate"}
# boto3's methods and the permission that each needs, where it is not of the same name.
PERMISSIONS = {
    "list_objects_v2": "ListBucket",
    "list_multipart_uploads": "ListBucketMultipartUploads",
    "head_object": "GetObject",
    "create_multipart_upload": "PutObject",
    "upload_part": "PutObject",
    "complete_multipart_upload": "PutObject",
}

# What one installation has besides.
NOT_OURS = shutil.ignore_patterns(".terraform*", "*.tfvars", "backend.tf", "*.tfstate*")

Statement = dict[str, Any]


def terraform(*arguments: str, folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    need(shutil.which("terraform") is not None, "terraform 1.11 or newer")
    settings = {name: value for name, value in os.environ.items() if not name.startswith("TF_")}
    return subprocess.run(
        ["terraform", *arguments],
        cwd=folder,
        env=settings | {"TF_IN_AUTOMATION": "1", "CHECKPOINT_DISABLE": "1"} | environment,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


@functools.cache
def sources() -> tuple[dict[str, Any], ...]:
    """The files, parsed."""
    return tuple(hcl2.loads(path.read_text(encoding="utf-8")) for path in sorted(FOLDER.glob("*.tf")))


def blocks(kind: str) -> Iterator[dict[str, Any]]:
    for source in sources():
        yield from source.get(kind, [])


def plain(value: Any) -> Any:
    """hcl2 keeps a string's quotes."""
    return value.strip('"') if isinstance(value, str) else value


def labelled(kind: str) -> dict[str, dict[str, Any]]:
    """The blocks with one label, by it."""
    return {plain(name): body for block in blocks(kind) for name, body in block.items()}


@pytest.fixture(scope="module")
def providers() -> Iterator[Providers]:
    serving = Providers()
    yield serving
    serving.stop()


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory, providers: Providers) -> Path:
    """The code, with our stand-ins in the place of the registry's modules, ready to be planned."""
    work = tmp_path_factory.mktemp("terraform")
    (work / "heed").symlink_to(ROOT / "heed")
    folder = work / "terraform-eks"
    shutil.copytree(FOLDER, folder, ignore=NOT_OURS)
    for path in folder.glob("*.tf"):
        text = path.read_text(encoding="utf-8")
        replaced = re.sub(
            r'source( *)= "terraform-aws-modules/(\w+)/aws"\n *version *= .*', rf'source = "{MODULES}/\2"', text
        )
        path.write_text(replaced, encoding="utf-8")
    for path in (folder / "tests").glob("*.tftest.hcl"):
        text = path.read_text(encoding="utf-8")
        path.write_text(
            re.sub(r"^override_module \{.*?^\}\n", "", text, flags=re.MULTILINE | re.DOTALL), encoding="utf-8"
        )
    ran = terraform("init", "-backend=false", "-no-color", folder=folder, **providers.environment)
    assert ran.returncode == 0, ran.stderr
    return folder


@pytest.fixture(scope="module")
def told(copy: Path, providers: Providers) -> list[dict[str, Any]]:
    """What `terraform test` tells, line by line."""
    ran = terraform("test", "-json", "-verbose", folder=copy, **providers.environment)
    return [json.loads(line) for line in ran.stdout.splitlines()]


@pytest.fixture(scope="module")
def planned(told: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Everything that would be built, by its address."""
    for line in told:
        if line["type"] == "test_plan" and line["@testrun"] == "everything":
            return {each["address"]: each["change"]["after"] for each in line["test_plan"]["resource_changes"]}
    raise AssertionError([line for line in told if line["type"] == "diagnostic"])


def statements(document: str) -> list[Statement]:
    found = json.loads(document)["Statement"]
    return [
        each | {name: [each[name]] for name in ("Action", "Resource") if isinstance(each.get(name), str)}
        for each in found
    ]


def role(planned: dict[str, dict[str, Any]], name: str) -> list[Statement]:
    return statements(planned[f'aws_iam_role_policy.pod["{name}"]']["policy"])


def granted(found: list[Statement]) -> set[str]:
    return {action for each in found if each["Effect"] == "Allow" for action in each["Action"]}


# --- Terraform reads it ---------------------------------------------------------------------------------


def test_it_is_formatted() -> None:
    for folder in (FOLDER, MODULES):
        ran = terraform("fmt", "-check", "-recursive", "-diff", folder=folder)
        assert ran.returncode == 0, ran.stdout


def test_terraform_finds_it_right(copy: Path, providers: Providers) -> None:
    ran = terraform("validate", "-json", folder=copy, **providers.environment)
    assert json.loads(ran.stdout)["diagnostics"] == []


def test_the_place_of_the_state_is_right(copy: Path, providers: Providers) -> None:
    state = copy / "state"
    terraform("init", folder=state, **providers.environment)
    found = json.loads(terraform("validate", "-json", folder=state, **providers.environment).stdout)
    assert found["diagnostics"] == []
    ran = terraform("test", "-no-color", folder=state, **providers.environment)
    assert ran.returncode == 0, ran.stdout


def test_terraform_hears_what_is_published(copy: Path, providers: Providers) -> None:
    """And the way in which the file is renewed works."""
    told = terraform("providers", "schema", "-json", folder=copy, **providers.environment)
    types = {name for each in published().values() for kind in KINDS for name in each[kind]}
    assert kept(json.loads(told.stdout)["provider_schemas"], types) == published()


def test_schemas_and_stand_ins_are_those_of_the_versions_in_use() -> None:
    code = "".join(path.read_text(encoding="utf-8") for path in FOLDER.rglob("*.tf") if ".terraform" not in path.parts)
    of = json.loads(SCHEMAS.read_text(encoding="utf-8"))["versions"]
    assert {f"registry.terraform.io/{name}": version for name, version in pinned(code)} == of
    assert len(pinned(code)) == len(of), "two versions of one provider"
    for name, body in labelled("module").items():
        first = (MODULES / name / "main.tf").read_text(encoding="utf-8").splitlines()[0]
        assert f"{plain(body['source'])} {plain(body['version'])} " in first


def test_a_wrong_argument_would_be_found(copy: Path, providers: Providers, tmp_path: Path) -> None:
    wrong = tmp_path / "main.tf"
    wrong.write_text('resource "aws_sqs_queue" "wrong" {\n  visibility_timeout = 60\n}\n', encoding="utf-8")
    terraform("init", folder=tmp_path, **providers.environment)
    found = json.loads(terraform("validate", "-json", folder=tmp_path, **providers.environment).stdout)
    assert [each["summary"] for each in found["diagnostics"]] == ["Unsupported argument"]


def test_its_own_tests_pass(told: list[dict[str, Any]]) -> None:
    # From 1.15 on it also tells of the mistakes that a run expects.
    refused = "tests/refused.tftest.hcl"
    diagnostics = [
        line["@message"] for line in told if line["type"] == "diagnostic" and line.get("@testfile") != refused
    ]
    runs = {line["@testrun"]: line["test_run"].get("status") for line in told if line["type"] == "test_run"}
    written = re.findall(
        r'^run "(\w+)"', "".join(path.read_text() for path in sorted(FOLDER.glob("tests/*.hcl"))), re.MULTILINE
    )
    assert diagnostics == []
    assert runs == dict.fromkeys(written, "pass")


def test_every_version_is_exact() -> None:
    exact = re.compile(r"\d+\.\d+\.\d+")
    versions = {f"chart {name}": body["version"] for name, body in charts().items()}
    versions |= {f"module {name}": body["version"] for name, body in labelled("module").items()}
    [settings] = [block for block in blocks("terraform") if "required_providers" in block]
    for block in settings["required_providers"]:
        versions |= {f"provider {name}": body["version"] for name, body in block.items() if isinstance(body, dict)}
    assert len(versions) >= 9
    assert {name: plain(version) for name, version in versions.items() if not exact.fullmatch(plain(version))} == {}


def charts() -> dict[str, dict[str, Any]]:
    return {
        plain(name): body
        for block in blocks("resource")
        if plain(next(iter(block))) == "helm_release"
        for name, body in block[next(iter(block))].items()
    }


def test_every_variable_says_what_it_is_and_what_it_may_be() -> None:
    for name, body in labelled("variable").items():
        assert plain(body["description"]), name
        assert body["type"], name
        assert plain(body["type"]) == "bool" or body["validation"], f"{name} takes whatever it is given"
    for name, body in labelled("output").items():
        assert plain(body["description"]), name


def test_the_example_gives_all_that_is_needed() -> None:
    example = hcl2.loads((FOLDER / "terraform.tfvars.example").read_text(encoding="utf-8"))
    given = {name for name in example if not name.startswith("__")}
    variables = labelled("variable")
    required = {name for name, body in variables.items() if "default" not in body}
    assert required <= given <= set(variables)


def test_the_readme_lists_what_was_checked_against_what() -> None:
    readme = (FOLDER / "README.md").read_text(encoding="utf-8")
    used = {plain(next(iter(block))) for kind in ("resource", "data") for block in blocks(kind)}
    assert {name for name in used if f"`{name}`" not in readme} == set()
    known = {name for each in published().values() for kind in KINDS for name in each[kind]}
    assert known == used
    for body in [*labelled("module").values(), *charts().values()]:
        assert plain(body["version"]) in readme


# --- It equals the code ---------------------------------------------------------------------------------


def test_names_and_numbers_are_the_codes(planned: dict[str, dict[str, Any]]) -> None:
    defaults = {name: field.default for name, field in Settings.model_fields.items()}
    queue, dead = planned["aws_sqs_queue.tickets"], planned["aws_sqs_queue.dead"]
    rule, target = planned["aws_cloudwatch_event_rule.tickets"], planned["aws_cloudwatch_event_target.tickets"]
    assert planned["aws_cloudwatch_event_bus.heed"]["name"] == rule["event_bus_name"] == defaults["event_bus"]
    assert queue["name"] == defaults["event_queue"]
    assert dead["name"] == f"{defaults['event_queue']}-dead"
    assert rule["name"] == aws.RULE
    assert json.loads(rule["event_pattern"]) == rule_pattern()
    assert json.loads(queue["redrive_policy"])["maxReceiveCount"] == aws.MAX_RECEIVES
    # Sooner than the lease ends a message would only find that somebody is on it.
    assert queue["visibility_timeout_seconds"] == defaults["events_visibility"] >= handler.LEASE_SECONDS
    # After the outbox's longest pause the relay publishes again, so that nothing has to be tried longer.
    assert target["retry_policy"][0]["maximum_event_age_in_seconds"] == outbox.MOST_SECONDS
    assert queue["message_retention_seconds"] > outbox.MOST_SECONDS
    assert Settings.model_fields["aws_region"].default == plain(labelled("variable")["region"]["default"])


def test_a_kept_connection_ends_at_traefik_first(planned: dict[str, dict[str, Any]]) -> None:
    arguments = yaml.safe_load(planned["helm_release.traefik"]["values"][0])["additionalArguments"]
    [idle] = [each for each in arguments if each.startswith("--serversTransport.forwardingTimeouts.idleConnTimeout=")]
    [kept] = re.findall(r"timeout_keep_alive=(\d+),", (ROOT / "heed/web/serve.py").read_text(encoding="utf-8"))
    assert int(idle.partition("=")[2].removesuffix("s")) * 2 <= int(kept)


def test_the_settings_it_gives_are_settings(planned: dict[str, dict[str, Any]], told: list[dict[str, Any]]) -> None:
    [plan] = [line["test_plan"] for line in told if line["type"] == "test_plan" and line["@testrun"] == "everything"]
    given = plan["output_changes"]["settings"]["after"]
    settings = Settings(**{name.removeprefix("HEED_").lower(): value for name, value in given.items()})
    assert {name.removeprefix("HEED_").lower() for name in given} <= set(Settings.model_fields)
    assert settings.backup_to == f"s3://{planned['aws_s3_bucket.backups']['bucket']}/postgres"


def test_the_planned_rule_brings_our_events_and_no_others(
    planned: dict[str, dict[str, Any]], settings: Settings
) -> None:
    """With bus, rule and queue made as planned, in the moto server."""
    queue, dead = planned["aws_sqs_queue.tickets"], planned["aws_sqs_queue.dead"]
    rule = planned["aws_cloudwatch_event_rule.tickets"]
    events, sqs = aws.client("events", settings), aws.client("sqs", settings)
    events.create_event_bus(Name=settings.event_bus)
    dead_url = sqs.create_queue(QueueName=f"{settings.event_queue}-dead")["QueueUrl"]
    dead_arn = sqs.get_queue_attributes(QueueUrl=dead_url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    redrive = json.loads(queue["redrive_policy"]) | {"deadLetterTargetArn": dead_arn}
    url = sqs.create_queue(
        QueueName=settings.event_queue,
        Attributes={
            "VisibilityTimeout": str(queue["visibility_timeout_seconds"]),
            "MessageRetentionPeriod": str(queue["message_retention_seconds"]),
            "RedrivePolicy": json.dumps(redrive),
        },
    )["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    events.put_rule(Name=rule["name"], EventBusName=settings.event_bus, EventPattern=rule["event_pattern"])
    events.put_targets(Rule=rule["name"], EventBusName=settings.event_bus, Targets=[{"Id": "tickets", "Arn": arn}])
    assert int(dead["message_retention_seconds"]) > int(queue["message_retention_seconds"])

    ours = [event().model_dump(mode="json") for _ in range(3)]
    assert Bus(settings).publish(ours) == [None] * 3
    foreign = {"EventBusName": settings.event_bus, "Source": "heed.worker", "DetailType": "NegativeFeedback"}
    for change in (
        {"Source": "somebody"},
        {"DetailType": "PositiveFeedback"},
        {"Detail": json.dumps(ours[0] | {"v": 2})},
    ):
        answer = events.put_events(Entries=[{"Detail": json.dumps(ours[0])} | foreign | change])
        assert answer["FailedEntryCount"] == 0

    received: dict[str, Any] = {}
    inbox = Queue(settings, connections=1)

    def all_there() -> bool:
        received.update(
            {found["id"]: found for message in inbox.receive(10) for found in [json.loads(message.body)["detail"]]}
        )
        return len(received) >= len(ours)

    wait_for(all_there, what="our events")
    assert inbox.receive(10) == []
    assert [NegativeFeedback.model_validate(received[each["id"]]).v for each in ours] == [1, 1, 1]


def calls(path: str, client: str, service: str) -> set[str]:
    """The permissions that a module needs for what it calls: attributes of its client, and names given to `_list`."""
    tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))
    names = {
        node.attr
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Attribute) and node.value.attr == client
    }
    names |= {
        node.args[0].value
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr == "_list"
        and isinstance(node.args[0], ast.Constant)
    }
    camel = {name: PERMISSIONS.get(name) or "".join(word.capitalize() for word in name.split("_")) for name in names}
    return {f"{service}:{name}" for name in camel.values()}


@pytest.mark.parametrize(
    ("account", "module", "client", "service", "besides"),
    [
        ("relay", "worker/bus.py", "_client", "events", set()),
        ("ticketing", "ticketing/queue.py", "_sqs", "sqs", set()),
        ("backup", "backup/s3.py", "_s3", "s3", {"kms:Decrypt", "kms:GenerateDataKey"}),
    ],
)
def test_a_role_may_do_what_its_code_calls_and_no_more(
    planned: dict[str, dict[str, Any]], account: str, module: str, client: str, service: str, besides: set[str]
) -> None:
    needed = calls(module, client, service)
    assert needed
    assert granted(role(planned, account)) == needed | besides


def test_only_modules_with_a_role_call_aws() -> None:
    users = {
        path.relative_to(ROOT).as_posix()
        for folder in ("heed", "api", "worker", "ticketing", "backup")
        for path in (ROOT / folder).rglob("*.py")
        if re.search(r"^import boto3", path.read_text(encoding="utf-8"), re.MULTILINE)
    }
    assert users == {"worker/bus.py", "ticketing/queue.py", "backup/s3.py"}


def test_policies_name_their_actions_and_resources(planned: dict[str, dict[str, Any]]) -> None:
    documents = {address: body["policy"] for address, body in planned.items() if "Statement" in str(body.get("policy"))}
    seen = 0
    for address, document in documents.items():
        for each in statements(document):
            if each["Effect"] == "Deny":
                assert each["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}, address
                continue
            seen += 1
            if address == "aws_kms_key.data":  # a key's policy speaks of that key alone, which it calls *
                assert each["Principal"] in (
                    {"AWS": "arn:aws:iam::123456789012:root"},
                    {"Service": "cloudwatch.amazonaws.com"},
                )
                continue
            assert not [action for action in each["Action"] if "*" in action], address
            if each["Action"] != ["ecr:GetAuthorizationToken"] and not all(
                re.match(r"(autoscaling|ec2):(Describe|Get)", action) for action in each["Action"]
            ):
                assert not [arn for arn in each["Resource"] if arn == "*" or arn.count("*") > 1], address
            if "Principal" in each:
                assert each["Principal"].get("Service"), address
                assert {"aws:SourceArn", "aws:SourceAccount"} & {
                    key for condition in each["Condition"].values() for key in condition
                }, address
    assert seen >= 15


def test_nodes_are_added_and_taken_away_in_this_cluster_alone(planned: dict[str, dict[str, Any]]) -> None:
    """By what chart and AWS's guide call for; who scales may change no group that is not tagged as this cluster's."""
    [release] = [body for address, body in planned.items() if address == "helm_release.cluster_autoscaler"]
    values = json.loads(json.dumps(yaml.safe_load(release["values"][0])))
    default = plain(labelled("variable")["kubernetes_version"]["default"])
    assert values["image"] == {"tag": f"v{default}.0"}, "it plays the scheduler of the cluster's version"
    assert values["autoDiscovery"] == {"clusterName": "heed-production"}
    account = planned['aws_eks_pod_identity_association.pod["cluster-autoscaler"]']
    assert (account["namespace"], account["service_account"]) == (
        release["namespace"],
        values["rbac"]["serviceAccount"]["name"],
    )
    changing = [
        each
        for each in role(planned, "cluster-autoscaler")
        if not all(re.match(r"\w+:(Describe|Get)", action) for action in each["Action"])
    ]
    assert [each["Condition"] for each in changing] == [
        {"StringEquals": {"aws:ResourceTag/k8s.io/cluster-autoscaler/heed-production": "owned"}}
    ]


def test_queues_take_messages_from_our_rule_alone(planned: dict[str, dict[str, Any]]) -> None:
    for queue in ("heed-tickets", "heed-tickets-dead"):
        arn = f"arn:aws:sqs:eu-central-1:123456789012:{queue}"
        [allowed] = [
            each
            for each in statements(planned[f'aws_sqs_queue_policy.from_rule["{arn}"]']["policy"])
            if each["Effect"] == "Allow"
        ]
        assert (allowed["Action"], allowed["Resource"]) == (["sqs:SendMessage"], [arn])
        assert allowed["Condition"]["ArnEquals"] == {
            "aws:SourceArn": "arn:aws:events:eu-central-1:123456789012:rule/heed/heed-negative-feedback"
        }


def test_a_role_is_for_one_service_account(planned: dict[str, dict[str, Any]]) -> None:
    bound = [body for address, body in planned.items() if address.startswith("aws_eks_pod_identity_association.")]
    assert len({(each["namespace"], each["service_account"]) for each in bound}) == len(bound)
    for each in bound:
        [trust] = statements(planned[f'aws_iam_role.pod["{each["service_account"]}"]']["assume_role_policy"])
        assert trust["Principal"] == {"Service": "pods.eks.amazonaws.com"}
        assert trust["Condition"]["StringEquals"] == {
            "aws:RequestTag/eks-cluster-arn": "arn:aws:eks:eu-central-1:123456789012:cluster/heed-production",
            "aws:RequestTag/kubernetes-namespace": each["namespace"],
            "aws:RequestTag/kubernetes-service-account": each["service_account"],
        }
    ours = {each["service_account"] for each in bound if each["namespace"] == "heed"}
    assert ours == {"relay", "ticketing", "backup"}
    assert not ours & NO_ROLE


def test_who_delivers_pushes_our_images_and_no_others(planned: dict[str, dict[str, Any]]) -> None:
    [trust] = statements(planned["aws_iam_role.deployer[0]"]["assume_role_policy"])
    assert trust["Principal"] == {"AWS": ["arn:aws:iam::123456789012:role/jenkins"]}
    assert trust["Action"] == ["sts:AssumeRole", "sts:TagSession"]
    [push] = [
        each
        for each in statements(planned["aws_iam_role_policy.deployer[0]"]["policy"])
        if "ecr:PutImage" in each["Action"]
    ]
    images = {body["name"] for address, body in planned.items() if address.startswith("aws_ecr_repository.")}
    compose = (ROOT / "docker-compose.yml").read_text(encoding="utf-8")
    assert images == set(re.findall(r"image: (heed-\w+):", compose))
    assert {arn.rpartition("/")[2] for arn in push["Resource"]} == images


def test_roles_are_for_service_accounts_that_there_are(planned: dict[str, dict[str, Any]]) -> None:
    manifests = sorted((ROOT / "k8s/base").glob("*.yaml"))
    if not manifests:
        pytest.skip("there are no manifests yet")
    documents = [each for path in manifests for each in yaml.safe_load_all(path.read_text(encoding="utf-8")) if each]
    accounts = {each["metadata"]["name"] for each in documents if each.get("kind") == "ServiceAccount"}
    with_role = {
        body["service_account"]
        for address, body in planned.items()
        if address.startswith("aws_eks_pod_identity_association.") and body["namespace"] == "heed"
    }
    assert with_role <= accounts
    assert accounts >= NO_ROLE


# --- Secrets --------------------------------------------------------------------------------------------


def test_secrets_are_filled_once_and_say_what_services_read(
    planned: dict[str, dict[str, Any]], aws_endpoint: str
) -> None:
    environment = f"t{os.getpid()}"
    client = boto3.client(
        "secretsmanager",
        endpoint_url=aws_endpoint,
        region_name="eu-central-1",
        aws_access_key_id="local",
        aws_secret_access_key="local",
    )
    places = [body["name"] for address, body in planned.items() if address.startswith("aws_secretsmanager_secret.")]
    names = {name.rpartition("/")[2]: name.replace("production", environment) for name in places}
    for name in names.values():
        client.create_secret(Name=name)

    def values() -> dict[str, dict[str, str]]:
        found = {}
        for short, name in names.items():
            if client.describe_secret(SecretId=name).get("VersionIdsToStages"):
                found[short] = json.loads(client.get_secret_value(SecretId=name)["SecretString"])
        return found

    assert fill(aws_endpoint, environment).returncode == 1
    first = values()
    assert set(first) == {"app", "database", "redis"}
    zendesk = {"HEED_ZENDESK_SUBDOMAIN": "example", "HEED_ZENDESK_EMAIL": "heed@example.com", "HEED_ZENDESK_TOKEN": "t"}
    ran = fill(aws_endpoint, environment, **zendesk)
    second = values()
    assert ran.returncode == 0, ran.stderr
    assert {short: second[short] for short in first} == first
    assert second["zendesk"] == zendesk | {"HEED_ZENDESK_WEBHOOK_SECRET": ""}
    assert not [
        value for group in second.values() for value in group.values() if len(value) > 20 and value in ran.stdout
    ]

    filled = {name: value for group in second.values() for name, value in group.items()}
    settings = {name: value for name, value in filled.items() if name.startswith("HEED_")}
    Settings(**{name.removeprefix("HEED_").lower(): value for name, value in settings.items()})
    assert {name.removeprefix("HEED_").lower() for name in settings} <= set(Settings.model_fields)
    assert {name for names in _READERS.values() for name in names} <= set(filled)
    # Each place says in its description what it holds.
    for address, body in planned.items():
        if address.startswith("aws_secretsmanager_secret."):
            for name in second[body["name"].rpartition("/")[2]]:
                assert name in body["description"]


def fill(endpoint: str, environment: str, **zendesk: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(FOLDER / "fill_secrets.py"), "--environment", environment],
        env={
            "PATH": os.environ["PATH"],
            "PYTHONPATH": str(ROOT),
            "AWS_ENDPOINT_URL": endpoint,
            "AWS_ACCESS_KEY_ID": "local",
            "AWS_SECRET_ACCESS_KEY": "local",
            **zendesk,
        },
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_no_secret_passes_through_terraform() -> None:
    text = "\n".join(path.read_text(encoding="utf-8") for path in FOLDER.glob("*.tf"))
    assert "aws_secretsmanager_secret_version" not in text
    assert "secret_string" not in text


def test_the_real_providers_agree(tmp_path: Path) -> None:
    try:
        socket.create_connection(("registry.terraform.io", 443), timeout=3).close()
    except OSError:
        pytest.skip(
            "registry.terraform.io cannot be reached: the providers were not downloaded, their schemas stood in"
        )
    (tmp_path / "heed").symlink_to(ROOT / "heed")
    folder = tmp_path / "terraform-eks"
    shutil.copytree(FOLDER, folder, ignore=NOT_OURS)
    cache = ROOT / "build/terraform-plugins"
    cache.mkdir(parents=True, exist_ok=True)
    kept = {"TF_PLUGIN_CACHE_DIR": str(cache), "AWS_EC2_METADATA_DISABLED": "true"}
    for step in (("init", "-backend=false"), ("validate",), ("test",)):
        ran = terraform(*step, "-no-color", folder=folder, **kept)
        assert ran.returncode == 0, ran.stdout + ran.stderr
