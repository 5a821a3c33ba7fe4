"""Asks flytekit the questions of a table and prints table and answers as JSON, for another SDK to be asked the same.

The first argument is an empty folder. Every case has a folder of its own below it, with its files; these stay. Variables
and values are base64.
"""
import base64
import json
import os
import re
import sys
import unicodedata
from itertools import product

import flytekit
from flytekit import Secret
from flytekit.configuration.file import get_config_file
from flytekit.core.context_manager import ExecutionState, FlyteContextManager, SecretsManager

ROOT = os.path.realpath(sys.argv[1])
MODES = {
    "local": ExecutionState.Mode.LOCAL_TASK_EXECUTION,
    "task": ExecutionState.Mode.TASK_EXECUTION,
    "none": None,
}
DIR, PREFIX, FILE_PREFIX = "FLYTE_SECRETS_DEFAULT_DIR", "FLYTE_SECRETS_ENV_PREFIX", "FLYTE_SECRETS_FILE_PREFIX"
cases = []


def case(name, ask, group=None, key=None, version=None, env=None, files=None, mode="task", **more):
    """One question. `files` are paths below the case's folder: bytes, a link's target (str), or None for a folder.
    {root} in a variable is that folder. "stored" puts a value where flytekit itself says that it looks."""
    cases.append({
        "name": name, "ask": ask, "group": group, "key": key, "version": version, "mode": mode,
        "env": dict(env or {}), "files": files or {}, **more,
    })


# What a person may call a secret: (group, key, version).
NAMES = [
    ("g", "k", None), ("g", "k", "v"), ("g", None, None), (None, "k", None), ("g", None, "v"), (None, "k", "v"),
    (None, None, "v"), ("", "k", None), ("g", "", None), ("g", "k", ""), ("", "k", ""), ("user-info", "user_secret", None),
    ("User-Info", "UserName", "V1.2"), ("my.group", "my.key", "1"), ("a/b", "c", None), ("a", "b/c", "d/e"), ("a/", "b", None),
    ("a", "b/", None), ("a//b", "c", None), ("a", "./b", None), ("a b", " k ", None), ("a\tb", "c\nd", None), (" ", " ", " "),
    ("_", "_", "_"), ("0", "1", "2"), ("a=b", "c", None), ("g", "k=", "v"), ("arn:aws:secretsmanager:eu:1:secret:x", "y", None),
    ("projects/1/secrets/x", None, "latest"), ("https://v.vault.azure.net/secrets/x", "k", None), ("$HOME", "$(k)", None),
    ("~", "~root", None), ("%s", "{}", "\\"), ("'", '"', "`"), ("straße", "ß", None), ("İstanbul", "ıI", None),
    ("ΟΔΥΣΣΕΥΣ", "ΣΑΣ", "Σ"), ("ŉ", "ǰ", "ΐ"), ("ﬁ", "ﬀ", "ﬅ"), ("ᾳ", "ᾼ", "ᾇ"), ("ǆ", "ǅ", "Ǆ"), ("ÿ", "Ÿ", "é"), ("日本", "鍵", "一"),
    ("ключ", "КЛЮЧ", None), ("🔑", "🗝", None), ("e\u0301", "\u0301", None), ("K", "Å", "Ω"), ("ა", "Ა", None),
    ("\u0345", "Aͅ", None), ("a.Σ", "Σ.a", "ΑΣ-Σ"), ("x\u200b", "\u00a0y", None), ("\x7f", "\x01", None), ("A" * 200, "b" * 54, None),
    ("a" * 255, "k", None), ("a" * 256, "k", None), ("g", "k" * 5000, None), ("g/" * 2500, "k", None),
]
ABSOLUTE = [("/abs", "k", None), ("g", "/k", None), ("g", "k", "/v"), ("..", "k", None), ("g", "../k", None), ("g", "..", None), ("//", "/", None)]

for number, (group, key, version) in enumerate(NAMES + ABSOLUTE):
    asked = dict(group=group, key=key, version=version)
    title = f"names {number}"
    case(f"{title}: the variable's name", "env_var", **asked)
    case(f"{title}: the file's path", "file", **asked)
    case(f"{title}: the file's path with a prefix", "file", env={FILE_PREFIX: "P-"}, **asked)
    case(f"{title}: nothing there", "get", env={DIR: "{root}/secrets"}, **asked)
    case(f"{title}: nothing there, locally", "get", env={DIR: "{root}/secrets"}, mode="local", **asked)
    case(f"{title}: a variable", "get", env={DIR: "{root}/secrets"}, stored="variable", **asked)
    if (group, key, version) in NAMES and not (group or "").startswith("g/g/"):
        case(f"{title}: a file", "get", env={DIR: "{root}/secrets"}, stored="file", **asked)

# White space of Python, of Rust, of Unicode, and what looks like it.
SPACES = [chr(c) for c in [*range(0x09, 0x0e), *range(0x1c, 0x21), 0x85, 0xa0, 0x1680, 0x180e, *range(0x2000, 0x200e), 0x2028, 0x2029,
                           0x202f, 0x205f, 0x2060, 0x3000, 0xfeff, 0x08, 0x0e, 0x1b, 0x7f]]
for space, ask in product(SPACES, ["get", "get_bytes"]):
    value = f"{space}a{space}b{space}{space}".encode()
    title = f"white space U+{ord(space):04X}: {ask}"
    case(f"{title} of a variable", ask, "g", "k", env={"_FSEC_G_K": value})
    case(f"{title} of a file", ask, "g", "k", env={DIR: "{root}"}, files={"g/k": value})

CONTENTS = {
    "nothing": b"", "white space only": b" \r\n\t", "one line": b"a\n", "CRLF": b"\r\na\r\nb\r\n", "CR": b"\ra\rb\r", "mixed line ends": b"a\r\r\n\n\rb",
    "CR at the end of many": b"a\r\n" * 5000 + b"b\r", "PEM": b"-----BEGIN X-----\r\nAAAA\r\n-----END X-----\r\n",
    "BOM": b"\xef\xbb\xbfa\n", "UTF-16": "a\n".encode("utf-16"), "Latin-1": b"\xe9t\xe9\n", "binary": bytes(range(256)), "binary with ends": b"\n\xff\x00 \n",
    "spaces around what is no text": b"\xe2\x80\x80\xff\xe2\x80\x80", "a cut character": b"a\xe2\x80 ", "a surrogate": b" \xed\xa0\x80 ",
    "overlong": b" \xc0\xa0 ", "beyond Unicode": b"\xf4\x90\x80\x80", "NUL": b"\x00a\x00", "one MiB": b"x" * (1 << 20), "JSON": b'{"a": "b\\n"}\n',
    "shell": b"$(a) `b` $$ ${c} '\"\\\n",
}
for (title, content), ask in product(CONTENTS.items(), ["get", "get_bytes"]):
    case(f"content {title}: {ask} of a file", ask, "g", "k", env={DIR: "{root}"}, files={"g/k": content})
    if b"\0" not in content and len(content) < 100_000:
        case(f"content {title}: {ask} of a variable", ask, "g", "k", env={"_FSEC_G_K": content})

# The three settings: not set, empty, white space, with white space around them, relative, with a slash at the end.
PREFIXES = [None, "", "_UNION_", " _U_\n", "lower_", "  ", "ü_", "A=", "\x1c_P_\u2003"]
DIRS = [None, "", "{root}/d", " {root}/d\n", "{root}/d/", "d", "./d/", "  ", "{root}/d/../e", "\u3000d"]
FILE_PREFIXES = [None, "", "p-", " p ", "P/", "{root}/x-"]


def settings(**values):
    return {name: value for name, value in values.items() if value is not None}


for prefix, mode in product(PREFIXES, MODES):
    env = settings(**{PREFIX: prefix, DIR: "{root}"})
    title = f"prefix {prefix!r} in mode {mode}"
    case(f"{title}: name", "env_var", "g", "k", "v", env=env, mode=mode)
    case(f"{title}: nothing there", "get", "g", "k", env=env, mode=mode)
    case(f"{title}: found", "get", "g", "k", env=env, mode=mode, stored="variable")
    case(f"{title}: the default's variable", "get", "g", "k", env={**env, "_FSEC_G_K": "a"}, mode=mode)
for folder, file_prefix in product(DIRS, FILE_PREFIXES):
    env = settings(**{DIR: folder, FILE_PREFIX: file_prefix})
    title = f"folder {folder!r}, file prefix {file_prefix!r}"
    case(f"{title}: path", "file", "g", "k", "v", env=env)
    if folder:
        case(f"{title}: found", "get", "G", "K", env=env, stored="file")
for ask, setting in product(["get", "env_var", "file"], [DIR, PREFIX, FILE_PREFIX]):
    case(f"setting {setting} in a local execution: {ask}", ask, "g", "k", env={DIR: "{root}", setting: "x"}, mode="local")

# Which place counts.
for mode, prefixed, plain, file in product(MODES, [None, "", " a "], [None, "", "b"], [None, b"", b"c"]):
    env = settings(**{"_FSEC_G_V_K": prefixed, "G_V_K": plain, DIR: "{root}"})
    title = f"places in mode {mode}: variable {prefixed!r}, without prefix {plain!r}, file {file!r}"
    files = {} if file is None else {"g/v/k": file}
    case(title, "get", "g", "k", "v", env=env, files=files, mode=mode)
for env in [{"_FSEC_G_K": "a"}, {"_FSEC_g_k": "a"}, {"_fsec_G_K": "a"}, {"_FSEC_K": "a"}, {"_FSEC_G": "a"}, {"_UNION_G_K": "a"}, {"_FSEC_G-K": "a"}]:
    case(f"a variable {min(env)}", "get", "g", "k", env={**env, DIR: "{root}"})
case("a version is asked for and the variable has none", "get", "g", "k", "v", env={"_FSEC_G_K": "a", DIR: "{root}"})
case("no version is asked for and the variable has one", "get", "g", "k", env={"_FSEC_G_V_K": "a", DIR: "{root}"})
case("a version is asked for and the file has none", "get", "g", "k", "v", env={DIR: "{root}"}, files={"g/k": b"a"})
case("the file is in upper case", "get", "G", "K", env={DIR: "{root}"}, files={"G/K": b"a"})

# What can stand in the place of a file.
PLACES = {
    "no folder": ({}, {DIR: "{root}/none"}),
    "a file for the folder": ({"f": b"a"}, {DIR: "{root}/f"}),
    "a file for the group": ({"g": b"a"}, {}),
    "a folder for the file": ({"g/k": None}, {}),
    "a link": ({"g/k": "../other", "other": b"a\n"}, {}),
    "links of a kubelet": ({"g/k": "..data/k", "g/..data": "..2026", "g/..2026/k": b"a\n"}, {}),
    "a link to nowhere": ({"g/k": "nowhere"}, {}),
    "a link to itself": ({"g/k": "k"}, {}),
    "a link to a folder": ({"g/k": "../d", "d": None}, {}),
    "a link for the group": ({"g": "d", "d/k": b"a"}, {}),
    "what cannot be read": ({"g/k": "/proc/self/mem"}, {}),
    "a device": ({"g/k": "/dev/null"}, {}),
    "more than one MiB": ({"g/k": b"x" * ((1 << 20) + 1)}, {}),
}
for (title, (files, env)), ask in product(PLACES.items(), ["get", "get_bytes"]):
    case(f"place {title}: {ask}", ask, "g", "k", env={DIR: "{root}", **env}, files=files)

for ask, mode in product(["get", "get_bytes", "env_var", "file"], MODES):
    case(f"nothing asked for in mode {mode}: {ask}", ask, mode=mode, env={DIR: "{root}"})
    case(f"nothing asked for in mode {mode}, all empty: {ask}", ask, "", "", "", mode=mode, env={DIR: "{root}"})
case("nothing asked for and a variable called like the prefix", "get", env={"_FSEC_": "a"})

for group, key, mode in [("g", "k", "task"), ("Group_1", "Key_2", "task"), ("g", "missing", "task"), ("g", "k", "local")]:
    env = {DIR: "{root}", "_FSEC_G_K": "a", "_FSEC_GROUP_1_KEY_2": "b"}
    case(f"attributes {group}.{key} in mode {mode}", "attribute", group, key, env=env, mode=mode)

case("a configuration file of flytekit", "env_var", "g", "k", files={"flytekit.config": b"[secrets]\nenv_prefix = _INI_\n"})

# Declarations.
NAMES_OF_VARIABLES = [None, "", "A", "_", "__", "_1", "A1", "DB_PASSWORD", "a", "aB", "Ab", "1A", "A-B", "A.B", "A B", " A", "A ", "A=B", "Ä", "A\n", "A\nB", "A" * 300]
for env_var in NAMES_OF_VARIABLES:
    case(f"declare env_var {env_var!r}", "declare", "g", "k", env_var=env_var)
for group, key, version in [("g", None, None), (None, "k", None), (None, None, None), ("", "", None), ("", "k", None), ("g", "", "v"), ("ü", "ß", "\x01"), ("a\nb", '"', "\\")]:
    case(f"declare {group!r}, {key!r}, {version!r}", "declare", group, key, version)
for mount in ["ANY", "ENV_VAR", "FILE"]:
    case(f"declare {mount}", "declare", "g", "k", "v", mount=mount, env_var="X")


def prepare(case, folder):
    """The case's files and variables."""
    os.makedirs(folder)
    for path, content in case.pop("files").items():
        path = os.path.join(folder, path)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        if content is None:
            os.makedirs(path)
        elif isinstance(content, str):
            os.symlink(content, path)
        else:
            with open(path, "wb") as file:
                file.write(content)
    as_bytes = lambda value: value if isinstance(value, bytes) else value.replace("{root}", folder).encode()
    # No configuration of flytekit but the case's own.
    env = {"HOME": folder.encode(), **{name: as_bytes(value) for name, value in case["env"].items()}}
    if case["mode"] == "task":
        env["FLYTE_INTERNAL_EXECUTION_ID"] = b"x"
    os.environb.clear()
    os.environb.update({name.encode(): value for name, value in env.items()})
    os.chdir(folder)
    get_config_file.cache_clear()
    return env


def store(case, env, secrets, question):
    """Puts a value where flytekit looks for it."""
    name = secrets.get_secrets_env_var(**question)
    if case["stored"] == "variable" and "=" not in name and name:
        env[name] = os.environb[name.encode()] = b" stored\n"
    if case["stored"] == "file":
        path = secrets.get_secrets_file(**question)
        try:
            os.makedirs(os.path.dirname(path), exist_ok=True)
            with open(path, "wb") as file:
                file.write(b" stored\n")
        except OSError:
            pass  # A name that no file can have.


def plain(value):
    return base64.b64encode(os.fsencode(value) if isinstance(value, str) else value).decode()


def answer(case, secrets, question):
    ask = case["ask"]
    if ask == "get":
        return {"value": plain(secrets.get(**question))}
    if ask == "get_bytes":
        return {"value": plain(secrets.get(**question, encode_mode="rb"))}
    if ask == "attribute":
        return {"value": plain(getattr(getattr(secrets, case["group"]), case["key"]))}
    if ask == "env_var":
        return {"name": secrets.get_secrets_env_var(**question)}
    if ask == "file":
        return {"path": secrets.get_secrets_file(**question)}
    mount = Secret.MountType[case.get("mount", "ANY")]
    secret = Secret(**question, mount_requirement=mount, env_var=case.get("env_var")).to_flyte_idl()
    return {"secret": [secret.group, secret.group_version, secret.key, str(secret.mount_requirement), secret.env_var]}


def failure(error):
    places = re.search(r"in Env Var:(.*) and FilePath: (.*)\Z", str(error), re.DOTALL)
    if places:
        return {"error": "missing", "places": list(places.groups())}
    if isinstance(error, UnicodeDecodeError):
        return {"error": "not text"}
    if isinstance(error, (ValueError, IndexError)):
        return {"error": "invalid"}
    if isinstance(error, IsADirectoryError):
        return {"error": "not a file"}
    if isinstance(error, OSError):
        return {"error": "unreadable"}
    raise error


def run(number, case):
    folder = os.path.join(ROOT, str(number))
    env = prepare(case, folder)
    question = {"group": case["group"], "key": case["key"], "group_version": case["version"]}
    context = FlyteContextManager.current_context()
    state = context.execution_state.with_params(mode=MODES["none" if case["ask"] == "declare" else case["mode"]])
    with FlyteContextManager.with_context(context.with_execution_state(state)):
        secrets = SecretsManager()
        try:
            if case.get("stored"):
                store(case, env, secrets, question)
            case["flytekit"] = answer(case, secrets, question)
        except Exception as error:
            case["flytekit"] = failure(error)
    case.update(folder=folder, env={name: plain(value) for name, value in env.items()})


for number, one in enumerate(cases):
    run(number, one)
os.chdir(ROOT)
mapped = lambda change: {str(c): change(chr(c)) for c in range(0x110000) if not 0xd800 <= c < 0xe000 and change(chr(c)) != chr(c)}
json.dump({
    "flytekit": flytekit.__version__, "unicode": unicodedata.unidata_version,
    "upper": mapped(str.upper), "lower": mapped(str.lower), "cases": cases,
}, sys.stdout)
