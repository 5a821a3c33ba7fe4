//! No input makes the program panic, hang or take all memory.

use crate::program::{Program, managers, pod, variable};

/// A simple generator (xorshift64), so that a failure can be played again.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % limit as u64).unwrap()
    }

    fn of<'a, T>(&mut self, all: &'a [T]) -> &'a T {
        &all[self.below(all.len())]
    }
}

const WORDS: [&str; 40] = [
    "kind: Pod\n",
    "kind: List\n",
    "items:\n",
    "- ",
    "  ",
    "metadata:",
    "spec:",
    "containers:",
    "\n",
    "\n---\n",
    "...\n",
    "{",
    "}",
    "[",
    "]",
    ",",
    ": ",
    "\"",
    "'",
    "|",
    ">-\n",
    "&a ",
    "*a",
    "<<: ",
    "!!binary ",
    "? ",
    "#",
    "\t",
    "\r\n",
    "0x",
    "1e999",
    ".inf",
    "null",
    "\u{feff}",
    "\u{0}",
    "\\u12",
    "%YAML 1.1\n",
    "labels: {inject-flyte-secrets: \"true\"}\n",
    "annotations: {flyte.secrets/s0: nnsxsoraejwxsx2lmv3secq}\n",
    "env: [{name: A, value: 5}]\n",
];

fn words(random: &mut Random) -> Vec<u8> {
    (0..random.below(60)).map(|_| *random.of(&WORDS)).collect::<String>().into_bytes()
}

fn bytes(random: &mut Random) -> Vec<u8> {
    (0..random.below(200)).map(|_| u8::try_from(random.below(256)).unwrap()).collect()
}

/// A good pod with some bytes changed.
fn spoiled(random: &mut Random, good: &str) -> Vec<u8> {
    let mut bytes = good.as_bytes().to_vec();
    for _ in 0..=random.below(4) {
        let (at, piece) = (random.below(bytes.len()), random.of(&WORDS).as_bytes().to_vec());
        match random.below(3) {
            0 => bytes[at] = u8::try_from(random.below(256)).unwrap(),
            1 => drop(bytes.remove(at)),
            _ => drop(bytes.splice(at..at, piece)),
        }
    }
    bytes
}

#[test]
fn random_input_is_answered_or_refused_and_never_a_panic() {
    let program = Program::new();
    program.file("config.yaml", managers("K8s"));
    let good = pod("p", &[variable("group", "key")]).to_string();
    let yaml = program.run_with(&["inject", "-f", "-", "--config", "config.yaml"], good.as_bytes()).done();
    let played = |seed: u64| {
        let mut random = Random(seed);
        for number in 0..100 {
            let input = match number % 4 {
                0 => words(&mut random),
                1 => bytes(&mut random),
                2 => spoiled(&mut random, &good),
                _ => spoiled(&mut random, &yaml),
            };
            let output = *random.of(&["yaml", "json", "patch", "diff"]);
            let ran = program.run_with(&["inject", "-f", "-", "--config", "config.yaml", "-o", output], &input);
            let text = String::from_utf8_lossy(&input);
            assert!([0, 1, 3].contains(&ran.code), "seed {seed}, number {number}: {ran:?}\n{text}");
            assert!(!ran.err.contains("panicked"), "seed {seed}, number {number}: {ran:?}\n{text}");
        }
    };
    std::thread::scope(|scope| {
        for seed in [0x5eed_0001, 0x5eed_0002, 0x5eed_0003] {
            scope.spawn(move || played(seed));
        }
    });
}

#[test]
fn nesting_without_end_is_an_error() {
    let program = Program::new();
    for (name, input) in [
        ("JSON objects", format!("{}1{}", "{\"a\":".repeat(10_000), "}".repeat(10_000))),
        ("JSON lists", format!("{}{}", "[".repeat(10_000), "]".repeat(10_000))),
        ("flow lists", format!("a: {}{}", "[".repeat(10_000), "]".repeat(10_000))),
        ("unclosed", format!("a: {}", "{b: [".repeat(10_000))),
        ("block lists", "- ".repeat(10_000)),
        ("block maps", (0..3_000).map(|level| format!("{}a:\n", " ".repeat(level))).collect()),
    ] {
        for command in ["inject", "explain"] {
            let told = program.run_with(&[command, "-f", "-"], input.as_bytes()).failed();
            assert!(told.starts_with("error: standard input:") && told.len() < 300, "{name}: {told}");
        }
    }
}

#[test]
fn a_pod_as_deep_as_json_may_be_comes_out_again() {
    let mut pod = pod("p", &[]).to_string();
    pod.truncate(pod.len() - 1);
    let deep = format!("{pod},\"deep\":{}1{}}}", "{\"a\":".repeat(120), "}".repeat(120));
    let ran = Program::new().run_with(&["inject", "-f", "-", "-o", "json"], deep.as_bytes());
    assert_eq!(ran.json().to_string(), deep);
}

#[test]
fn aliases_that_stand_for_billions_are_an_error() {
    let mut bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..12 {
        let all = vec![format!("*a{}", level - 1); 10].join(", ");
        bomb.push_str(&format!("a{level}: &a{level} [{all}]\n"));
    }
    let told = Program::new().run_with(&["inject", "-f", "-"], bomb.as_bytes()).failed();
    assert!(told.contains("too large or too deeply nested"), "{told}");
}

#[test]
fn many_small_documents_take_little_time() {
    // Each document used to hold the whole input, which made this take gigabytes.
    let input = "{}".repeat(50_000);
    let ran = Program::new().run_with(&["inject", "-f", "-", "-o", "json"], input.as_bytes());
    assert_eq!(ran.done().lines().count(), 50_000);
}

#[test]
fn more_than_64_mib_are_not_read() {
    let program = Program::new();
    let file = std::fs::File::create(program.folder().join("huge.yaml")).unwrap();
    file.set_len(64 * 1024 * 1024 + 1).unwrap();
    assert_eq!(program.run(&["inject", "-f", "huge.yaml"]).failed(), "error: huge.yaml is larger than 64 MiB\n");
}
