//! `exec`: a command with the variables and files that a pod would get. No cluster here; `tests/e2e/exec.rs` has one.

use std::fs;
use std::io::Write;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::json;

use crate::program::{Program, Ran, SCOPE, file, managers, pod, variable};

const VALUE: &str = "planted-exec-value-Zx81";
const SHARED_MEMORY: &str = "/dev/shm";

/// A program whose stores hold `api_key` and `Cert`, in a document.
fn program() -> Program {
    let program = Program::new().with("PATH", "/usr/bin:/bin");
    program.file("values.yaml", format!("{SCOPE}api_key: {VALUE}\n{SCOPE}Cert: {{binary_base64: /wAB}}\n"));
    program
}

fn exec(program: &Program, options: &[&str], script: &str) -> Ran {
    program.run(&[&["exec", "--values", "values.yaml"], options, &["--", "sh", "-c", script]].concat())
}

/// It was not started, and said why.
#[track_caller]
fn not_started(ran: Ran) -> String {
    assert!(ran.code == 125 && ran.out.is_empty() && !ran.err.contains(VALUE), "{ran:?}");
    ran.err
}

/// The program in the background.
fn start(program: &Program, options: &[&str], script: &str) -> Child {
    let mut command = Command::new(env!("CARGO_BIN_EXE_flyte-secrets"));
    command.args(["exec", "--values", "values.yaml"]).args(options).args(["--", "sh", "-c", script]);
    // A process group of its own: what is sent to the program is sent to nobody else.
    command.current_dir(program.folder()).env_clear().env("PATH", "/usr/bin:/bin").env("HOME", program.folder());
    command.stdin(Stdio::null()).stdout(Stdio::null()).process_group(0).spawn().unwrap()
}

fn wait_for(what: &str, mut is_so: impl FnMut() -> bool) {
    let start = Instant::now();
    while !is_so() {
        assert!(start.elapsed() < Duration::from_secs(20), "{what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// What the command has written into a file of its own once it runs.
fn written(path: &Path) -> String {
    wait_for("the command writes", || fs::read_to_string(path).is_ok_and(|text| text.ends_with('\n')));
    fs::read_to_string(path).unwrap().trim_end().to_owned()
}

fn send(signal: &str, pid: u32) {
    assert!(Command::new("kill").args([&format!("-{signal}"), "--", &pid.to_string()]).status().unwrap().success());
}

#[test]
fn a_variable_is_what_a_pod_would_have() {
    let ran = exec(&program(), &["--secret", "api_key"], "echo $_UNION_API_KEY $FLYTE_SECRETS_ENV_PREFIX");
    assert_eq!(ran.done(), format!("{VALUE} _UNION_\n"));
}

#[test]
fn a_variable_of_ones_own_is_named_behind_the_secret() {
    let ran = exec(&program(), &["--secret", "api_key=MY_KEY"], "echo $MY_KEY ${_UNION_API_KEY-unset}");
    assert_eq!(ran.done(), format!("{VALUE} unset\n"));
}

#[test]
fn files_are_in_a_private_folder_in_memory_that_the_variables_of_a_pod_point_to() {
    let script = "cd $FLYTE_SECRETS_DEFAULT_DIR && pwd && stat -f -c %T . && stat -c '%a %u' . \
                  && stat -c '%n %a %u' * && od -An -tx1 Cert && echo $MY_CERT \"[$FLYTE_SECRETS_FILE_PREFIX]\"";
    let out = exec(&program(), &["--secret", "Cert:file=MY_CERT"], script).done();
    let lines: Vec<&str> = out.lines().collect();
    let (folder, uid) = (lines[0], fs::metadata("/proc/self").unwrap().uid());
    assert!(folder.starts_with(&format!("{SHARED_MEMORY}/flyte-secrets-exec-{uid}-")), "{out}");
    let expected = [
        "tmpfs".to_owned(),
        format!("700 {uid}"),
        // Under its own name, and in lower case, where flytekit looks.
        format!("Cert 400 {uid}"),
        format!("cert 400 {uid}"),
        " ff 00 01".to_owned(),
        format!("{folder}/Cert []"),
    ];
    assert_eq!(lines[1..], expected);
    assert!(!fs::exists(folder).unwrap());
}

#[test]
fn the_folder_is_where_the_runtime_folder_of_the_user_is_if_that_is_in_memory() {
    let place = tempfile::tempdir_in(SHARED_MEMORY).unwrap();
    let program = program().with("XDG_RUNTIME_DIR", place.path().to_str().unwrap());
    let out = exec(&program, &["--secret", "Cert:file"], "echo $FLYTE_SECRETS_DEFAULT_DIR").done();
    assert!(out.starts_with(place.path().to_str().unwrap()), "{out}");
}

#[test]
fn global_reads_the_variables_and_files_of_the_caller() {
    let program = program().with("FLYTE_SECRET_DB_USER", "of-a-variable");
    program.file("secrets/db/password", "of-a-file\n");
    let prefix = format!("--secrets.secrets-prefix={}/secrets", program.folder().display());
    let ran = exec(
        &program,
        &["--secret", "db/user", "--secret", "db/password@v1", &prefix],
        "printf %s \"$_UNION_DB_USER $_UNION_DB_PASSWORD$_UNION_DB_V1_PASSWORD\"",
    );
    assert_eq!(ran.done(), "of-a-variable of-a-file\nof-a-file\n");
}

#[test]
fn secrets_of_a_file_stand_for_those_of_a_cluster() {
    let program = program();
    program.file(
        "secret.yaml",
        "{apiVersion: v1, kind: Secret, metadata: {name: db}, data: {password: b2xk, pin: MTIz}, stringData: {password: new}}",
    );
    let options =
        ["-f", "secret.yaml", "--secret", "db/password@v2:file=WHERE", "--secret", "db/pin:env", "--secret", "api_key"];
    let script =
        "cat $WHERE; echo; cat $FLYTE_SECRETS_DEFAULT_DIR/db/v2/password; echo; echo $_UNION_DB_PIN $_UNION_API_KEY";
    assert_eq!(exec(&program, &options, script).done(), format!("new\nnew\n123 {VALUE}\n"));
}

#[test]
fn a_secret_of_another_namespace_is_another_secret() {
    let program = program();
    program.file("secret.yaml", "{kind: Secret, metadata: {name: db, namespace: mine}, stringData: {password: x}}");
    let options = ["-f", "secret.yaml", "--secret", "db/password:env"];
    let script = "echo $_UNION_DB_PASSWORD";
    assert_eq!(exec(&program, &[&options[..], &["-n", "mine"]].concat(), script).done(), "x\n");
    assert!(not_started(exec(&program, &[&options[..], &["-n", "other"]].concat(), script)).contains("Secret \"db\""));
}

#[test]
fn what_a_pod_starts_without_is_told() {
    let program = program();
    program.file("secret.yaml", "{kind: Secret, metadata: {name: db}, data: {}}");
    let options = ["-f", "secret.yaml", "--secret", "db/password:env", "--secret", "db/cert:file"];
    let ran = exec(&program, &options, "echo ${_UNION_DB_PASSWORD-unset}; ls $FLYTE_SECRETS_DEFAULT_DIR");
    assert!(ran.code == 0 && ran.out == b"unset\n", "{ran:?}");
    for expected in [
        "warning: the variable _UNION_DB_PASSWORD has no value: there is no key \"password\" of a Secret \"db\" in the \
         namespace \"default\". The command starts without it, as a pod would; --strict makes this an error\n",
        "warning: the file /etc/flyte/secrets/db/cert has no value: there is no key \"cert\" of a Secret \"db\"",
        "\n  Embedded: secret \"password\": not found",
    ] {
        assert!(ran.err.contains(expected), "{expected}: {}", ran.err);
    }
    let told = not_started(exec(&program, &[&options[..], &["--strict"]].concat(), "true"));
    assert!(told.starts_with("error: the variable _UNION_DB_PASSWORD has no value"), "{told}");
}

#[test]
fn a_container_of_a_pod_sees_what_it_would_see_in_a_cluster() {
    let program = program();
    let mut asking = pod("p", &[variable("", "api_key"), file("", "Cert")]);
    asking["spec"]["containers"] = json!([
        {"name": "task", "env": [{"name": "OWN", "value": "of-the-pod"}]}, {"name": "side"},
    ]);
    program.file("pod.json", asking.to_string());
    let script = "echo $_UNION_API_KEY ${OWN-unset}; cat $FLYTE_SECRETS_DEFAULT_DIR/cert | wc -c";
    for container in [&["-f", "pod.json"][..], &["-f", "pod.json", "-c", "side"]] {
        // What the pod's author has set is the pod's; only secrets are brought.
        assert_eq!(exec(&program, container, script).done(), format!("{VALUE} unset\n3\n"));
    }
    let told = not_started(exec(&program, &["-f", "pod.json", "-c", "x"], "true"));
    assert_eq!(told, "error: the pod has no container \"x\"; it has task, side\n");
    let claims = ["-f", "pod.json", "--domain", "production"];
    assert!(not_started(exec(&program, &claims, "true")).contains("u__org__flyte__domain__production__"));
}

#[test]
fn a_pod_that_is_injected_already_shows_the_same() {
    let program = program();
    program.file("config.yaml", managers("Embedded"));
    program.file("pod.json", pod("p", &[variable("", "api_key"), file("", "Cert")]).to_string());
    let given = ["--config", "config.yaml", "--values", "values.yaml"];
    let injected = program.run(&[&["inject", "-f", "pod.json", "--reveal"], &given[..]].concat()).done();
    program.file("injected.yaml", injected);
    let script = "echo $_UNION_API_KEY; cat $FLYTE_SECRETS_DEFAULT_DIR/Cert | wc -c";
    let ran = exec(&program, &["-f", "injected.yaml", "--config", "config.yaml"], script);
    assert_eq!(ran.done(), format!("{VALUE}\n3\n"));
}

#[test]
fn what_the_process_has_already_comes_first() {
    let secrets = tempfile::tempdir().unwrap();
    fs::create_dir_all(secrets.path().join("db/v1")).unwrap();
    fs::write(secrets.path().join("db/v1/cert"), "of-the-pods-file").unwrap();
    let program = program()
        .with("FLYTE_SECRETS_ENV_PREFIX", "_FSEC_")
        .with("FLYTE_SECRETS_DEFAULT_DIR", secrets.path().to_str().unwrap())
        .with("_FSEC_API_KEY", "of-the-pods-variable");
    let options = ["--secret", "api_key=MINE", "--secret", "DB/cert@V1=CERT", "--secret", "Cert:file"];
    let script = "echo $MINE $_FSEC_API_KEY $FLYTE_SECRETS_ENV_PREFIX; cat $CERT; echo; \
                  cd $FLYTE_SECRETS_DEFAULT_DIR; ls -d cert db/v1/cert";
    let out = exec(&program, &options, script).done();
    assert_eq!(out, "of-the-pods-variable of-the-pods-variable _FSEC_\nof-the-pods-file\ncert\ndb/v1/cert\n");
    // The other way round, and without the caller's variables.
    let options = ["--clean-env", "--secret", "api_key:file=MINE", "--secret", "db/cert@v1:env=CERT"];
    let out = exec(&program, &options, "cat $MINE; echo; echo $CERT $_FSEC_DB_V1_CERT ${_FSEC_API_KEY-unset}").done();
    assert_eq!(out, "of-the-pods-variable\nof-the-pods-file of-the-pods-file unset\n");
}

#[test]
fn with_a_clean_environment_a_command_has_little_beside_the_secrets() {
    let program = program().with("OTHER", "x").with("LC_ALL", "C").with("TERM", "dumb");
    let names = |options: &[&str]| {
        let out = exec(&program, &[&["--secret", "api_key"], options].concat(), "env | cut -d= -f1 | sort").done();
        out.lines().filter(|name| !["_", "PWD", "SHLVL", "OLDPWD"].contains(name)).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(names(&["--clean-env"]), "FLYTE_SECRETS_ENV_PREFIX HOME LC_ALL PATH TERM _UNION_API_KEY");
    assert!(names(&[]).contains("OTHER"));
}

#[test]
fn a_request_may_be_given_as_an_annotation_holds_it() {
    let program = program();
    let yaml = program.run(&["annotations", "encode", "--key", "api_key", "--env-var", "MY_KEY"]).done();
    let annotation = yaml.lines().last().unwrap().split(": ").nth(1).unwrap();
    assert_eq!(exec(&program, &["--annotation", annotation], "echo $MY_KEY").done(), format!("{VALUE}\n"));
}

#[test]
fn the_exit_code_is_that_of_a_shell() {
    let program = program();
    program.file("no-program", "x");
    for (command, expected) in [
        (&["sh", "-c", "exit 0"][..], 0),
        (&["sh", "-c", "exit 3"], 3),
        (&["sh", "-c", "exit 255"], 255),
        (&["sh", "-c", "kill -KILL $$"], 137),
        (&["sh", "-c", "kill -TERM $$"], 143),
        (&["./no-program"], 126),
        (&["/usr"], 126),
        (&["no-such-command"], 127),
        (&["./no/such/file"], 127),
    ] {
        let options = ["exec", "--values", "values.yaml", "--secret", "Cert:file", "--"];
        let ran = program.run(&[&options[..], command].concat());
        assert_eq!(ran.code, expected, "{command:?}: {ran:?}");
        // It says something only where the command could not.
        assert_eq!(
            ran.err.starts_with(&format!("error: cannot run {}: ", command[0])),
            expected == 126 || expected == 127
        );
    }
}

#[test]
fn a_command_is_not_started_without_what_it_asks_for() {
    let program = program();
    program.file("pod.json", pod("p", &[variable("", "api_key")]).to_string()).file("other.yaml", "kind: ConfigMap\n");
    for (options, expected) in [
        (&["--secret", "nothing", "--webhook.secretManagerTypes=Embedded"][..], "none of the secret managers injected"),
        (&["--secret", "group/key"], "no way to the Kubernetes API"),
        (&["--secret", "api_key", "-f", "pod.json"], "not both"),
        (&["--secret", "/x"], "--secret number 1: \"/x\" has no group"),
        (&["--annotation", "A"], "--annotation number 1: not base32"),
        (&["-f", "other.yaml"], "no file given with -f holds a pod"),
        (&["-f", "pod.json", "-f", "pod.json"], "one pod is realised at a time"),
        (&[], "nothing is asked for"),
        (
            &["--secret", "a:b/k", "--webhook.secretManagerTypes=AWS"],
            "served by AWS, whose values are fetched in the pod",
        ),
        (
            &["--secret", "a/k", "--webhook.secretManagerTypes=Vault"],
            "served by Vault, whose values are fetched in the pod",
        ),
        (&["--secret", "Cert:env", "--webhook.secretManagerTypes=Embedded"], "not UTF-8"),
        (&["--secret", "api_key", "--webhook.nonsense=1"], "webhook.nonsense"),
    ] {
        let told = not_started(exec(&program, options, "echo started"));
        assert!(told.starts_with("error: ") && told.contains(expected), "{options:?}: {told}");
    }
    for arguments in [&["exec", "--secret", "api_key"][..], &["exec", "--secret", "api_key", "true"]] {
        assert_eq!(program.run(arguments).code, 2);
    }
}

#[test]
fn a_value_on_the_command_line_is_refused_and_not_repeated() {
    for secret in ["db/password=hunter2", "db/password:env=Hunter2hunter2"] {
        let told = not_started(exec(&program(), &["--secret", secret], "true"));
        assert!(told.contains("secret create") && !told.to_lowercase().contains("hunter2"), "{told}");
    }
}

#[test]
fn a_signal_reaches_the_command_which_may_end_as_it_likes() {
    for (signal, code) in [("TERM", 21), ("HUP", 22), ("INT", 23), ("USR1", 24)] {
        let program = program();
        let (ready, script) = (program.folder().join("ready"), format!("trap 'exit {code}' {signal}; "));
        let script = script + "echo $FLYTE_SECRETS_DEFAULT_DIR > ready; while :; do sleep 0.05; done";
        let mut child = start(&program, &["--secret", "Cert:file"], &script);
        let folder = PathBuf::from(written(&ready));
        assert!(folder.join("cert").exists());
        send(signal, child.id());
        assert_eq!(child.wait().unwrap().code(), Some(code), "{signal}");
        assert!(!folder.exists(), "{signal}");
    }
}

#[test]
fn a_signal_that_is_ignored_stays_ignored() {
    // As nohup(1) starts a command.
    let program = program();
    let script = "trap '' HUP; exec \"$@\"";
    let mut command = Command::new("sh");
    command.args(["-c", script, "sh", env!("CARGO_BIN_EXE_flyte-secrets"), "exec", "--values", "values.yaml"]);
    command.args(["--secret", "api_key", "--", "sh", "-c", "echo x > ready; sleep 0.3; exit 5"]);
    let mut child =
        command.current_dir(program.folder()).env("HOME", program.folder()).process_group(0).spawn().unwrap();
    written(&program.folder().join("ready"));
    for process in [child.id().to_string(), format!("-{}", child.id())] {
        assert!(Command::new("kill").args(["-HUP", "--", &process]).status().unwrap().success());
    }
    assert_eq!(child.wait().unwrap().code(), Some(5));
}

/// The state of a process: `T` for a stopped one.
fn state(pid: &str) -> String {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    stat.rsplit_once(") ").unwrap().1[..1].to_owned()
}

#[test]
fn at_a_terminal_it_is_a_job_like_others() {
    let program = program();
    program.file(
        "count.sh",
        // After the first interruption it waits for more.
        "n=0; trap 'n=$((n+1))' INT; sleep 30 & long=$!; echo $$ $PPID > ready; while [ $n = 0 ]; do wait $long; done; \
         sleep 0.5 & more=$!; while kill -0 $more 2> /dev/null; do wait $more; done; kill $long; echo $n > count",
    );
    // script(1) makes a terminal; what it reads is typed there.
    let mut command = Command::new("script");
    command.args(["-q", "-c", "sh -i", "/dev/null"]).current_dir(program.folder()).env("HOME", program.folder());
    let mut child = command.env("PS1", "").stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
    let mut terminal = child.stdin.take().unwrap();
    let mut type_in = |text: &str| terminal.write_all(text.as_bytes()).and_then(|()| terminal.flush()).unwrap();
    let path = env!("CARGO_BIN_EXE_flyte-secrets");
    type_in(&format!("{path} exec --values values.yaml --secret api_key -- sh count.sh\n"));
    let ready = written(&program.folder().join("ready"));
    let (inner, outer) = ready.split_once(' ').unwrap();
    // Ctrl-Z stops both, `fg` has both go on.
    type_in("\x1a");
    wait_for("both stop", || state(inner) == "T" && state(outer) == "T");
    type_in("fg\n");
    wait_for("both go on", || state(inner) != "T" && state(outer) != "T");
    // Ctrl-C reaches the command once: from the terminal, and not from us too.
    type_in("\x03");
    assert_eq!(written(&program.folder().join("count")), "1");
    type_in("exit\n");
    child.wait().unwrap();
}

#[test]
fn what_a_killed_process_leaves_is_swept_by_the_next_but_not_before_its_command_ends() {
    let program = program();
    let script = "echo $$ > pid; echo $FLYTE_SECRETS_DEFAULT_DIR > ready; exec sleep 60";
    let mut child = start(&program, &["--secret", "Cert:file"], script);
    let folder = PathBuf::from(written(&program.folder().join("ready")));
    let command: u32 = written(&program.folder().join("pid")).parse().unwrap();
    send("KILL", child.id());
    child.wait().unwrap();
    let next = || exec(&program, &["--secret", "Cert:file"], "true").done();
    next();
    assert!(folder.join("cert").exists(), "the command still runs and needs its files");
    send("KILL", command);
    wait_for("the command ends", || {
        !Path::new(&format!("/proc/{command}/fd")).read_dir().is_ok_and(|fds| fds.count() > 0)
    });
    next();
    assert!(!folder.exists());
}

#[test]
fn a_value_is_nowhere_but_in_the_environment_of_the_command_and_its_files() {
    let program = program();
    program.file("values.yaml", format!("{SCOPE}api_key: {VALUE}\n{SCOPE}Cert: {VALUE}\n"));
    let script = "echo $$ > pid; echo $FLYTE_SECRETS_DEFAULT_DIR > ready; exec sleep 60";
    let mut child = start(&program, &["--secret", "api_key", "--secret", "Cert:file"], script);
    written(&program.folder().join("ready"));
    let command = written(&program.folder().join("pid"));
    wait_for("exec sleep", || fs::read(format!("/proc/{command}/comm")).is_ok_and(|name| name == b"sleep\n"));
    let holds = |path: PathBuf| {
        fs::read(path).is_ok_and(|bytes| bytes.windows(VALUE.len()).any(|window| window == VALUE.as_bytes()))
    };
    // The command has it, so the search works; a moment after its name its environment is there.
    wait_for("the command's environment", || holds(PathBuf::from(format!("/proc/{command}/environ"))));
    let processes = || fs::read_dir("/proc").unwrap().flatten().map(|entry| entry.path()).filter(|path| path.is_dir());
    for process in processes() {
        assert!(!holds(process.join("cmdline")), "{}", process.display());
    }
    let of_program = PathBuf::from(format!("/proc/{}", child.id()));
    assert!(!holds(of_program.join("environ")));
    let limits = fs::read_to_string(of_program.join("limits")).unwrap();
    let of_command = fs::read_to_string(format!("/proc/{command}/limits")).unwrap();
    for limits in [limits, of_command] {
        let core: Vec<&str> =
            limits.lines().find(|line| line.starts_with("Max core")).unwrap().split_whitespace().collect();
        assert_eq!(core[4..6], ["0", "0"]);
    }
    send("KILL", child.id());
    send("KILL", command.parse().unwrap());
    child.wait().unwrap();
}

/// The files of a process that is not dumpable are root's (proc(5)), so root has to become somebody else to see it.
#[test]
fn another_process_of_the_same_user_cannot_read_its_memory() {
    const NOBODY: u32 = 65534;
    let is_root = fs::metadata("/proc/self").unwrap().uid() == 0;
    let as_user = |command: &mut Command| {
        if is_root {
            command.uid(NOBODY).gid(NOBODY);
        }
    };
    // Where that user may read, write and execute.
    let folder = tempfile::tempdir_in("/tmp").unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o777)).unwrap();
    let binary = folder.path().join("flyte-secrets");
    fs::copy(env!("CARGO_BIN_EXE_flyte-secrets"), &binary).unwrap();
    fs::write(folder.path().join("values.yaml"), format!("{SCOPE}api_key: {VALUE}\n")).unwrap();
    let mut command = Command::new(&binary);
    command.args([
        "exec",
        "--values",
        "values.yaml",
        "--secret",
        "api_key",
        "--",
        "sh",
        "-c",
        "echo $$ > ready; sleep 60",
    ]);
    command.current_dir(folder.path()).env_clear().env("PATH", "/usr/bin:/bin").process_group(0);
    as_user(&mut command);
    let mut child = command.spawn().unwrap();
    let inner = written(&folder.path().join("ready"));
    let can_read = |pid: &str, file: &str| {
        let mut head = Command::new("head");
        head.args(["-c", "1", &format!("/proc/{pid}/{file}")]).stdout(Stdio::null()).stderr(Stdio::null());
        as_user(&mut head);
        head.status().unwrap().success()
    };
    let outer = child.id().to_string();
    assert_eq!(fs::metadata(format!("/proc/{outer}/mem")).unwrap().uid(), 0);
    for file in ["environ", "maps", "auxv"] {
        // The command is what it makes of itself: so the question can be answered both ways.
        assert_eq!((can_read(&outer, file), can_read(&inner, file)), (false, true), "{file}");
    }
    Command::new("kill").args(["-KILL", "--", &format!("-{outer}")]).status().unwrap();
    child.wait().unwrap();
}
