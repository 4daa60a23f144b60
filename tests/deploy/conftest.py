"""The checks of deploy/: what is rendered, and what it names. Nothing is started but the programs' own --help."""

import pathlib

import pytest

from chart import CI, Chart


@pytest.fixture(scope="session")
def chart():
    return Chart()


def pytest_generate_tests(metafunc):
    """`rendered`: the manifests of each values file of ci/."""
    if "rendered" in metafunc.fixturenames:
        files = sorted(CI.glob("*.yaml"))
        metafunc.parametrize("rendered", files, ids=[file.stem for file in files], indirect=True)


@pytest.fixture(scope="session")
def rendered(request, chart):
    return chart.manifests(chart.read(pathlib.Path(request.param)))
