"""The images: small, without a shell, not root; and their build sees what it needs."""

import fnmatch
import os
import re
import subprocess
import tomllib
from pathlib import Path

import pytest

from chart import DEPLOY, ROOT
from dockerfile import FILE, arguments, stages

TARGETS = {"control": "switchyard-control", "data": "switchyard-data", "standalone": "switchyard"}


@pytest.mark.parametrize("target", TARGETS)
def test_a_target_runs_its_program_and_nothing_else(target):
    stage, path = stages()[target], f"/usr/local/bin/{TARGETS[target]}"
    assert stage["ENTRYPOINT"] == [path] and stage["CMD"] == ["serve"]
    assert f"--from=build /out/{TARGETS[target]} {path}" in stage["COPY"]
    assert stage["FROM"] == "runtime" and not stage["RUN"], "the final image has no shell to run anything"


def test_programs_are_not_root_and_kubernetes_can_see_it():
    base = stages()["runtime"]
    user, group = base["USER"].split(":")
    assert int(user) > 0 and int(group) > 0
    for target in TARGETS:
        assert "USER" not in stages()[target]


@pytest.mark.parametrize("target", ["data", "standalone"])
def test_the_data_folder_belongs_to_the_user(target):
    stage = stages()[target]
    folder, user = stage["ENV"]["SWITCHYARD_DATA_DIR"], stages()["runtime"]["USER"]
    assert stage["VOLUME"] == [folder]
    assert f"--from=build --chown={user} /out/data {folder}" in stage["COPY"]


def test_tools_are_of_one_release():
    release = re.search(r"-([a-z]+)$", arguments()["RUST_IMAGE"]).group(1)
    assert release in arguments()["NODE_IMAGE"]


def test_the_final_image_is_the_programs_and_what_they_need(tmp_path):
    assert stages()["runtime"]["FROM"] == "scratch"
    assert "--from=build /out/root /" in stages()["runtime"]["COPY"]
    laid_out = [run for run in stages()["build"]["RUN"] if "deploy/docker/runtime-root /out/root" in run]
    assert len(laid_out) == 1 and all(f"/out/{program}" in laid_out[0] for program in TARGETS.values())

    folder = Path(os.environ["SWITCHYARD_TEST_PROGRAMS"])
    programs = [folder / program for program in TARGETS.values()]
    root = tmp_path / "root"
    subprocess.run([FILE.with_name("runtime-root"), root, *programs], check=True)
    assert (root / "etc/ssl/certs/ca-certificates.crt").stat().st_size > 0
    assert (root / "tmp").stat().st_mode & 0o7777 == 0o1777
    files = [path for path in root.rglob("*") if path.is_file()]
    assert not [path for path in files if path.name in ("sh", "bash", "dash", "busybox")]
    assert sum(path.stat().st_size for path in files) < 10_000_000

    # Its own loader finds all that the programs name, without a look at this system's libraries.
    (loader,) = [path for path in files if path.name.startswith("ld-linux")]
    libraries = ":".join({str(path.parent) for path in files if ".so" in path.name})
    for program in programs:
        said = subprocess.run(
            [loader, "--inhibit-cache", "--library-path", libraries, program, "--version"],
            check=True, capture_output=True, text=True,
        )
        assert said.stdout.startswith(program.name)
        needs = subprocess.run(
            [loader, "--inhibit-cache", "--library-path", libraries, "--list", program],
            check=True, capture_output=True, text=True,
        )
        found = re.findall(r"=> (/\S+)", needs.stdout)
        assert found and all(Path(path).is_relative_to(root) for path in found), needs.stdout


def test_tools_are_new_enough():
    needed = tomllib.loads((ROOT / "Cargo.toml").read_text())["workspace"]["package"]["rust-version"]
    assert version(arguments()["RUST_IMAGE"]) >= tuple(map(int, needed.split(".")))
    assert version(arguments()["NODE_IMAGE"])[0] >= 20


def version(image):
    return tuple(map(int, re.search(r":([0-9.]+)", image).group(1).split(".")))


def test_what_is_built_is_what_is_copied():
    (build,) = [run for run in stages()["build"]["RUN"] if "cargo build" in run]
    packages = re.findall(r"-p ([a-z-]+)", build)
    binaries = {}
    for manifest in (ROOT / path / "Cargo.toml" for path in members()):
        content = tomllib.loads(manifest.read_text())
        for binary in content.get("bin", []):
            binaries[binary["name"]] = content["package"]["name"]
    assert {binaries[program] for program in TARGETS.values()} == set(packages)
    assert set(re.findall(r"target/dist/([a-z-]+)", build)) == set(TARGETS.values())
    assert "--locked" in build


def test_caches_are_no_layers():
    (build,) = [run for run in stages()["build"]["RUN"] if "cargo build" in run]
    cached = set(re.findall(r"--mount=type=cache,target=([^ ,]+)", build))
    assert {"/usr/local/cargo/registry", "/src/target", "/var/cache/npm"} <= cached


def members():
    return tomllib.loads((ROOT / "Cargo.toml").read_text())["workspace"]["members"]


def in_context(path):
    """By the ignore file's rules, the last one that matches."""
    kept = True
    for line in FILE.with_name("Dockerfile.dockerignore").read_text().splitlines():
        if not line or line.startswith("#"):
            continue
        rule, keep = line.removeprefix("!"), line.startswith("!")
        parts = path.split("/")
        heads = ["/".join(parts[: n + 1]) for n in range(len(parts))]
        anywhere = rule.removeprefix("**/")
        if any(fnmatch.fnmatch(head, rule) for head in heads) or (rule != anywhere and anywhere in parts):
            kept = keep
    return kept


def test_the_build_sees_what_it_needs_and_no_more():
    needed = ["Cargo.toml", "Cargo.lock", ".cargo/config.toml", "migrations/mysql/0001_core.sql"]
    needed += [f"{member}/Cargo.toml" for member in members()]
    needed += [path.relative_to(ROOT).as_posix() for path in (ROOT / "control-plane").glob("*.toml")]
    for path in needed:
        assert (ROOT / path).exists() and in_context(path), path
    for path in [
        "deploy/.env",
        ".git/config",
        "target/debug/x",
        "admin-web/node_modules/x/y.js",
        "admin-web/.env",
        "README.md",
    ]:
        assert not in_context(path), path


def test_compose_and_readme_name_stages_that_are_there():
    for file in ["compose.yaml", "README.md", "docker/Dockerfile"]:
        for target in re.findall(r"(?:target:|--target) +([a-z]+)", (DEPLOY / file).read_text()):
            assert target in TARGETS, f"{file}: {target}"
