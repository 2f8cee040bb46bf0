"""What the comparison needs, put in place the first time: virtual environments from PyPI, PostgreSQL from Debian, the limits from crates.io.

Everything lands in TOOLS (`target/bench-tools`); nothing of the system is changed and no root is needed. What cannot be had raises
`Missing` with the reason, which the report prints.
"""
import functools
import glob
import os
import pathlib
import shutil
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[1]
TOOLS = pathlib.Path(os.environ.get("TOOLS", ROOT / "target/bench-tools"))
BERTH = os.environ.get("BERTH", str(ROOT / "target/release/berth"))


class Missing(Exception):
    """Something that cannot be had here, and why."""


def run(*command, seconds=600, **options):
    """Runs a program to its end; says what it said when it fails."""
    try:
        done = subprocess.run([str(word) for word in command], capture_output=True, text=True, timeout=seconds, **options)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Missing(f"{command[0]}: {error}") from error
    if done.returncode != 0:
        told = (done.stderr.strip() or done.stdout.strip()).splitlines()
        raise Missing(f"{pathlib.Path(str(command[0])).name} {' '.join(map(str, command[1:3]))} failed: {told[-1] if told else done.returncode}")
    return done.stdout


def python_from(version):
    """An interpreter of this version or newer."""
    names = [f"python3.{minor}" for minor in range(11, 20)] + ["python3"]
    for candidate in [sys.executable, *names, *sorted(glob.glob(os.path.expanduser("~/.pyenv/versions/*/bin/python3")))]:
        try:
            found = run(candidate, "-c", "import sys; print(*sys.version_info[:2])", seconds=20).split()
        except Missing:
            continue
        if tuple(map(int, found)) >= version:
            return candidate
    raise Missing("needs Python %d.%d or newer, and none was found" % version)


def environment(name, *packages, version=(3, 9)):
    """The interpreter of a virtual environment with these packages."""
    home = TOOLS / name
    python, stamp = home / "bin/python", home / "installed"
    if not stamp.exists() or stamp.read_text() != " ".join(packages):
        if not python.exists():
            run(python_from(version), "-m", "venv", home)
        run(python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *packages)
        stamp.write_text(" ".join(packages))
    return python


@functools.cache
def limits_program():
    """The compiled limits and load; Cargo sees whether they have to be built."""
    home = TOOLS / "limits"
    program = home / "release/limits"
    run("cargo", "build", "--release", "--quiet", "--locked", "--manifest-path", HERE / "limits/Cargo.toml",
        env={**os.environ, "CARGO_TARGET_DIR": str(home)}, seconds=1800)
    return program


def postgres():
    """The folder of PostgreSQL's programs, and what they need in the environment."""
    system = sorted(glob.glob("/usr/lib/postgresql/*/bin/initdb"))
    if system and not os.environ.get("POSTGRES_FROM_DEBIAN"):
        return pathlib.Path(system[-1]).parent, {}
    home = TOOLS / "postgres"
    if not (home / "installed").exists():
        unpack_postgres(home)
    found = sorted(glob.glob(str(home / "usr/lib/postgresql/*/bin/initdb")))
    if not found:
        raise Missing("the Debian package of PostgreSQL has no initdb")
    folder = pathlib.Path(found[-1]).parent
    libraries = ":".join(sorted({str(pathlib.Path(path).parent) for path in glob.glob(str(home / "usr/lib/*/*.so*"))}))
    extra = {"LD_LIBRARY_PATH": libraries}
    lacking = [line.split()[0] for line in run("ldd", folder / "postgres", env={**os.environ, **extra}).splitlines() if "not found" in line]
    if lacking:
        raise Missing("PostgreSQL lacks " + ", ".join(lacking))
    return folder, extra


def unpack_postgres(home):
    """Downloads the packages, without installing them, with those libraries that the system has not."""
    if not shutil.which("apt-get"):
        raise Missing("no PostgreSQL in /usr/lib/postgresql, and no apt-get to fetch it with")
    packages = [name for name in depends("postgresql") if name.startswith("postgresql-")][:1]
    if not packages:
        raise Missing("apt-get knows no PostgreSQL (apt-get update may help)")
    packages += [name for name in depends(packages[0]) if name.startswith("lib") and not name.startswith("libllvm") and not installed(name)]
    if "libpq5" not in packages:
        packages.append("libpq5")
    shutil.rmtree(home, ignore_errors=True)
    home.mkdir(parents=True)
    os.chmod(home, 0o755)
    run("apt-get", "download", *packages, cwd=home)
    for package in home.glob("*.deb"):
        run("dpkg", "-x", package, home)
        package.unlink()
    (home / "installed").touch()


def depends(package):
    lines = run("apt-cache", "depends", package).splitlines()
    return [line.split()[-1] for line in lines if line.strip().startswith("Depends:")]


def installed(package):
    try:
        return "install ok" in run("dpkg-query", "-W", "-f", "${Status}", package)
    except Missing:
        return False
