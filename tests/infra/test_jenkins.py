"""The pipeline and its controller: every step is a make target that exists, nothing is of an unknown version, nothing
secret is written down. Jenkins itself does not run here: npm-groovy-lint parses its file, and the rest is read.
"""

import json
import re
import shutil
import subprocess
from importlib import util
from pathlib import Path
from typing import Any

import pytest
import yaml
from conftest import need

ROOT = Path(__file__).parents[2]
JENKINS = ROOT / "jenkins"
JENKINSFILE = (ROOT / "Jenkinsfile").read_text(encoding="utf-8")
# Which plugin brings which word of the Jenkinsfile.
PLUGINS = {
    "pipeline {": "pipeline-model-definition",
    "kubernetes {": "kubernetes",
    "input {": "pipeline-input-step",
    "branch 'main'": "workflow-multibranch",
    "sh '": "workflow-durable-task-step",
    "archiveArtifacts": "workflow-basic-steps",
    "milestone ": "pipeline-milestone-step",
    "lock(": "lockable-resources",
    "junit ": "junit",
    "recordCoverage": "coverage",
    "timestamps()": "timestamper",
    "stage(": "pipeline-stage-step",
}


def targets() -> set[str]:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    return set(re.findall(r"^([\w./-]+):(?!=)", makefile, re.MULTILINE))


def steps() -> list[str]:
    """The targets, in the order in which the pipeline calls them."""
    called = []
    for command in re.findall(r"\bsh\b(.*?)[}\n]", JENKINSFILE):
        [make] = re.findall(r"^ '(make [\w./ -]+)' *$", command)
        called += make.split()[1:]
    return called


def test_it_is_short_and_each_step_is_a_make_target() -> None:
    assert len(JENKINSFILE.splitlines()) < 150
    assert set(steps()) <= targets()
    assert not re.search(r"\b(script|bat|powershell|load|evaluate|withCredentials|credentials)\b *[({]", JENKINSFILE)


def test_its_steps_come_in_order() -> None:
    order = ["lint", "test-reports", "images", "scan", "sbom", "smoke-compose", "push", "plan"]
    order += ["connect", "migrate", "deploy", "verify", "rollback"]
    assert [each for each in steps() if each in order] == order
    checked, delivered = JENKINSFILE.index("make smoke-compose"), JENKINSFILE.index("make push")
    asked, changed = JENKINSFILE.index("input {"), JENKINSFILE.index("make migrate")
    assert checked < delivered < asked < changed
    assert "unsuccessful { sh 'make rollback' }" in JENKINSFILE
    # Lint and tests at once; each stage that could hang has an end.
    assert re.search(r"parallel \{\s+stage\('Lint'\).*?stage\('Test'\)", JENKINSFILE, re.DOTALL)
    assert JENKINSFILE.count("timeout(") >= 10
    milestones = [int(number) for number in re.findall(r"milestone (\d)", JENKINSFILE)]
    assert milestones == sorted(milestones) == [1, 2, 3]
    assert "lock(resource: 'heed-production')" in JENKINSFILE
    # What is not on main is checked and goes nowhere.
    for stage in ("Push", "Plan", "Approve", "Deliver"):
        assert re.search(rf"stage\('{stage}'\) \{{(\s+//.*)*\s+when \{{[^}}]*branch 'main'", JENKINSFILE), stage


def test_a_branch_waits_for_nothing_of_a_delivery() -> None:
    """Without these words an agent is started and the lock is waited for first, and `when` asked then."""
    [when] = re.findall(r"stage\('Deliver'\).*?when \{(.*?)\}", JENKINSFILE, re.DOTALL)
    assert when.split("\n")[1:-1] == [
        " " * 16 + each for each in ("beforeAgent true", "beforeOptions true", "branch 'main'")
    ]


def test_the_way_back_has_time_whatever_took_too_long() -> None:
    """A stage's own limit would count for what is done after its steps, too."""
    minutes = {"MINUTES": 1, "HOURS": 60}
    deliver = JENKINSFILE[JENKINSFILE.index("stage('Deliver')") :]
    limits = [
        int(count) * minutes[unit] for count, unit in re.findall(r"timeout\(time: (\d+), unit: '(\w+)'\)", deliver)
    ]
    whole, *parts = limits
    assert len(parts) == 2
    assert re.search(
        r"steps \{\s+timeout\(time: \d+, unit: 'MINUTES'\) \{\s+sh 'make deploy'\s+sh 'make verify'\s+\}\s+\}", deliver
    )
    # Each of the services may be given up after a quarter of an hour; the way back may take as long for each.
    services = len(
        re.findall(r"\w+", re.findall(r"^services=\((.*)\)", (ROOT / "k8s/deploy").read_text(), re.MULTILINE)[0])
    )
    assert whole >= sum(parts) + 15 * services


def test_reports_are_published_where_make_writes_them() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for published in re.findall(r"reports/[\w.*-]+", JENKINSFILE):
        assert published.replace("*", "$$name").removesuffix("-$$name") in makefile, published
    assert re.search(r"always \{\s+junit ", JENKINSFILE)


def test_every_plugin_is_of_one_version_and_none_is_missing() -> None:
    lines = [line for line in (JENKINS / "plugins.txt").read_text().splitlines() if not line.startswith("#")]
    plugins = dict(line.split(":") for line in lines)
    assert all(re.match(r"\d[\w.-]*$", version) for version in plugins.values())
    assert len(plugins) == len(lines)
    used = {plugin for word, plugin in PLUGINS.items() if word in JENKINSFILE}
    assert used == set(PLUGINS.values()), "a word that is not there any more needs no plugin"
    assert used | {"configuration-as-code", "job-dsl", "git", "matrix-auth", "plain-credentials"} <= plugins.keys()


def test_every_image_is_of_one_version() -> None:
    named = re.findall(r"^FROM (\S+)", (JENKINS / "Dockerfile").read_text(), re.MULTILINE)
    named += re.findall(r"^FROM (\S+)", (JENKINS / "agent/Dockerfile").read_text(), re.MULTILINE)
    named += re.findall(r"\bimage: ([\w./-]+:\S+)", (JENKINS / "casc.yaml").read_text())
    assert len(named) == 7
    assert all(re.search(r":v?\d+\.\d+", image) for image in named)
    [compose] = yaml.safe_load((JENKINS / "docker-compose.yml").read_text())["services"].values()
    assert f"jenkins/jenkins:{compose['image'].split(':')[1]}-lts" in named[0]


def test_the_controller_is_all_in_files_and_has_no_secret_in_them() -> None:
    text = (JENKINS / "casc.yaml").read_text(encoding="utf-8")
    casc = yaml.safe_load(text)
    [compose] = yaml.safe_load((JENKINS / "docker-compose.yml").read_text())["services"].values()
    assert set(re.findall(r"\$\{([\w-]+)\}", text)) == {*compose["environment"], *compose["secrets"]}
    users = casc["jenkins"]["securityRealm"]["local"]["users"]
    assert {user["password"] for user in users} == {"${admin-password}", "${deliverer-password}"}
    assert all(":?" in value for value in compose["environment"].values())
    assert compose["ports"] == ["127.0.0.1:8080:8080"]
    assert casc["jenkins"]["numExecutors"] == 0
    [submitters] = re.findall(r"submitter '([\w,]+)'", JENKINSFILE)
    assert set(submitters.split(",")) == {user["id"] for user in users}
    for cloud in clouds().values():
        [template] = cloud["templates"]
        assert f"inheritFrom '{template['name']}'" in JENKINSFILE
        pod = yaml.safe_load(template["yaml"])
        assert {each["name"] for each in pod["spec"]["containers"]} == {"tools", "docker"}
        account = ("ServiceAccount", cloud["namespace"], pod["spec"]["serviceAccountName"])
        assert account in {
            (each["kind"], each["metadata"].get("namespace"), each["metadata"]["name"]) for each in objects()
        }
    assert "defaultContainer 'tools'" in JENKINSFILE


def clouds() -> dict[str, dict[str, Any]]:
    casc = yaml.safe_load((JENKINS / "casc.yaml").read_text(encoding="utf-8"))
    return {each["kubernetes"]["name"]: each["kubernetes"] for each in casc["jenkins"]["clouds"]}


def objects() -> list[dict[str, Any]]:
    return list(yaml.safe_load_all((JENKINS / "cluster.yaml").read_text(encoding="utf-8")))


def test_a_branch_cannot_get_at_what_delivers() -> None:
    """Its Jenkinsfile may say anything: another cloud, another namespace, another account, another node."""
    casc = yaml.safe_load((JENKINS / "casc.yaml").read_text(encoding="utf-8"))
    # Another cloud: it is for the job that builds main alone, and that job alone has the permission.
    assert clouds().keys() == {"main", "branches"}
    assert clouds()["main"]["usageRestricted"] is True
    jobs = re.findall(r"multibranchPipelineJob\('([\w-]+)'\)(.*?)\n\}", casc["jobs"][0]["script"], re.DOTALL)
    assert {name: re.findall(r"(\w+cludes)\('main'\)", body) for name, body in jobs} == {
        "heed": ["includes"],
        "heed-branches": ["excludes"],
    }
    assert [name for name, body in jobs if "permittedClouds { string('main') }" in body] == ["heed"]
    assert JENKINSFILE.count("cloud ") == 2
    assert """cloud "${env.BRANCH_NAME == 'main' ? 'main' : 'branches'}\"""" in JENKINSFILE
    # Another namespace: each cloud's token rules one.
    tokens = {
        each["string"]["id"]: each["string"]["secret"]
        for each in casc["credentials"]["system"]["domainCredentials"][0]["credentials"]
    }
    assert tokens == {name: f"${{{name}-token}}" for name in clouds()}
    readme = (JENKINS / "README.md").read_text(encoding="utf-8")
    for name, cloud in clouds().items():
        assert cloud["credentialsId"] == name
        assert re.search(rf"-n {cloud['namespace']} get secret controller .*> secrets/{name}-token", readme)
    bindings = [each for each in objects() if each["kind"] == "RoleBinding"]
    assert {each["metadata"]["namespace"] for each in bindings} == {each["namespace"] for each in clouds().values()}
    for each in bindings:
        assert [subject["namespace"] for subject in each["subjects"]] == [each["metadata"]["namespace"]]
    assert not {"ClusterRole", "ClusterRoleBinding"} & {each["kind"] for each in objects()}
    # Another account: the role is for main's namespace.
    assert '"aws:RequestTag/kubernetes-namespace": "jenkins-main"' in readme
    assert re.findall(r"create-pod-identity-association .*--namespace ([\w-]+)", readme) == [
        clouds()["main"]["namespace"]
    ]
    # Another node: the cluster takes no pod from there that does not ask for those of its namespace.
    [policy] = [each for each in objects() if each["kind"] == "ValidatingAdmissionPolicy"]
    [validation] = policy["spec"]["validations"]
    assert "object.spec.nodeSelector['heed/only'] == request.namespace" in validation["expression"]
    assert "!has(object.spec.nodeName)" in validation["expression"]
    [binding] = [each for each in objects() if each["kind"] == "ValidatingAdmissionPolicyBinding"]
    assert (binding["spec"]["policyName"], binding["spec"]["validationActions"]) == (
        policy["metadata"]["name"],
        ["Deny"],
    )
    [chosen] = binding["spec"]["matchResources"]["namespaceSelector"]["matchExpressions"]
    assert set(chosen["values"]) == {each["namespace"] for each in clouds().values()}


def test_the_cluster_would_take_it() -> None:
    need(util.find_spec("kubernetes_validate") is not None, "kubernetes-validate (from PyPI)")
    import kubernetes_validate

    for each in objects():
        kubernetes_validate.validate(each, "1.35", strict=True)


def test_agents_have_what_a_build_needs() -> None:
    image = (JENKINS / "agent/Dockerfile").read_text()
    # Postgres' initdb, with which tests begin, starts for nobody without a name.
    [user] = re.findall(r"^USER (\d+):", image, re.MULTILINE)
    assert f"useradd --uid {user} " in image
    # kubectl is of the cluster's version or one minor version beside it.
    variables = (ROOT / "terraform-eks/variables.tf").read_text()
    [cluster] = re.findall(r'"kubernetes_version" \{.*?default += "1\.(\d+)"', variables, re.DOTALL)
    [kubectl] = re.findall(r"kubectl:v1\.(\d+)\.", image)
    assert abs(int(cluster) - int(kubectl)) <= 1
    # What tests may not miss where CI is set, as the pipeline does, is made before they run.
    assert "CI = 'true'" in JENKINSFILE
    prepared = re.findall(r"sh 'make (\S+) (\S+) (\S+)'", JENKINSFILE)
    assert prepared == [(".venv/.ready", "jenkins/node_modules/.ready", "build/checkov/.ready")]


def test_agents_run_on_nodes_where_nothing_else_does() -> None:
    """Each has a privileged container; whoever leaves it has the node, and with it the Secrets of each pod there."""
    cluster = (ROOT / "terraform-eks/cluster.tf").read_text()
    [(names, group)] = re.findall(
        r'for name in (\["jenkins.*?\]) : (.*?)\}\) if var.agent_nodes > 0', cluster, re.DOTALL
    )
    assert json.loads(names) == sorted(each["namespace"] for each in clouds().values())
    assert 'labels = { "heed/only" = name }' in group
    assert 'taints = { only = { key = "heed/only", value = name, effect = "NO_SCHEDULE" } }' in group
    for cloud in clouds().values():
        [template] = cloud["templates"]
        assert template["nodeSelector"] == f"heed/only={cloud['namespace']}"
        spec = yaml.safe_load(template["yaml"])["spec"]
        assert spec["tolerations"] == [{"key": "heed/only", "operator": "Exists", "effect": "NoSchedule"}]
    # They fit: an xlarge has four cores, of which the system takes little.
    cores = sum(int(each["resources"]["requests"]["cpu"]) for each in spec["containers"])
    assert re.findall(r'"\w+\.(\w+)"', group) == ["xlarge", "xlarge"]
    assert cores <= 3


def test_what_node_brings_is_of_one_version() -> None:
    package = json.loads((JENKINS / "package.json").read_text())
    lock = json.loads((JENKINS / "package-lock.json").read_text())["packages"]
    for name, version in package["devDependencies"].items():
        assert lock[f"node_modules/{name}"]["version"] == version
    assert all("resolved" not in each for each in lock.values()), "whoever installs says from which registry"
    assert all(each.get("integrity") for path, each in lock.items() if path)


@pytest.mark.timeout(600)  # a Java machine on a busy computer: 20 s alone, minutes beside others
def test_groovy_reads_the_jenkinsfile() -> None:
    need(shutil.which("npm") is not None, "npm")
    need(shutil.which("java") is not None, "a Java runtime")
    fetched = subprocess.run(
        ["make", "jenkins/node_modules/.ready"], cwd=ROOT, capture_output=True, text=True, timeout=200, check=False
    )
    if fetched.returncode:
        pytest.skip(
            f"npm cannot fetch npm-groovy-lint here, so the Jenkinsfile was not parsed: {fetched.stderr[-300:]}"
        )
    ran = subprocess.run(["make", "lint-groovy"], cwd=ROOT, capture_output=True, text=True, timeout=380, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr


@pytest.mark.parametrize(
    ("target", "tool"), [("scan", "trivy"), ("sbom", "trivy"), ("plan", "terraform"), ("lint-groovy", "java")]
)
def test_what_is_missing_is_said(target: str, tool: str, tmp_path: Path) -> None:
    for program in ("bash", "sh", "sed", "mkdir", "touch", "git", "grep", "npm", "node"):
        found = shutil.which(program)
        if found:
            (tmp_path / program).symlink_to(found)
    made = str(shutil.which("make"))
    # As if everything that the target is made from were there.
    ran = subprocess.run(
        [made, "--assume-old=jenkins/node_modules/.ready", target],
        cwd=ROOT,
        env={"PATH": str(tmp_path), "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert ran.returncode != 0
    assert f"make {target} needs {tool}, which is not on this machine" in ran.stdout
