//! What can happen to a review on its way: to its members, and to its bytes.

use serde_json::{Value, json};

use crate::random::Random;

/// Changes a few members: other types, nulls, copies, names, deep and long things.
pub fn of_members(random: &mut Random, review: &mut Value) {
    for _ in 0..=random.below(3) {
        let place = some_place(random, review);
        match random.below(9) {
            0..=2 => *place = Value::Null,
            3..=5 => *place = another_type(random),
            6 => twice(random, place),
            7 => remove(random, place),
            _ => rename(random, place),
        }
    }
    if random.once_in(100) {
        let depth = 1 + random.below(100);
        *some_place(random, review) = (0..depth).fold(json!({}), |inner, _| json!([inner]));
    }
    if random.once_in(500) {
        // Small elements: the input is not what shall take the memory.
        let one = [json!({}), json!([]), json!(""), json!(null)][random.below(4)].clone();
        *some_place(random, review) = vec![one; random.below(50_000)].into();
    }
}

/// Walks down from the top until chance says stop. The pod gets most of it.
fn some_place<'v>(random: &mut Random, review: &'v mut Value) -> &'v mut Value {
    let mut place = review;
    if !random.once_in(8) && place.pointer("/request/object").is_some() {
        place = place.pointer_mut("/request/object").unwrap();
    }
    loop {
        let inside = match place {
            Value::Object(members) => members.len(),
            Value::Array(elements) => elements.len(),
            _ => 0,
        };
        if inside == 0 || random.once_in(7) {
            return place;
        }
        let index = random.below(inside);
        place = match place {
            Value::Object(members) => members.values_mut().nth(index).unwrap(),
            Value::Array(elements) => &mut elements[index],
            _ => unreachable!(),
        };
    }
}

fn another_type(random: &mut Random) -> Value {
    match random.below(11) {
        0 => json!(true),
        1 => json!(random.next()),
        2 => json!(-1.5e300),
        3 => json!(""),
        4 => json!("text \u{0}\u{1b}\u{202e}\n\"\\ ü 😀"),
        5 => json!([]),
        6 => json!({}),
        7 => json!([null]),
        8 => json!({"name": null, "secret": {}}),
        9 => json!("x".repeat(random.below(5000))),
        _ => json!([[{"name": "a"}], {"name": ["a"]}]),
    }
}

fn twice(random: &mut Random, place: &mut Value) {
    match place {
        Value::Array(elements) if !elements.is_empty() => {
            let copy = elements[random.below(elements.len())].clone();
            elements.push(copy);
        }
        Value::Object(members) if !members.is_empty() => {
            let (name, copy) = members.iter().nth(random.below(members.len())).unwrap();
            let (name, copy) = (format!("{name}2"), copy.clone());
            members.insert(name, copy);
        }
        other => *other = json!([other.clone(), other.clone()]),
    }
}

fn remove(random: &mut Random, place: &mut Value) {
    match place {
        Value::Array(elements) if !elements.is_empty() => drop(elements.remove(random.below(elements.len()))),
        Value::Object(members) if !members.is_empty() => {
            let name = members.keys().nth(random.below(members.len())).unwrap().clone();
            members.shift_remove(&name);
        }
        other => *other = json!(""),
    }
}

fn rename(random: &mut Random, place: &mut Value) {
    if let Value::Object(members) = place
        && !members.is_empty()
    {
        let name = members.keys().nth(random.below(members.len())).unwrap().clone();
        let member = members.shift_remove(&name).unwrap();
        members
            .insert(random.pick(&["", "name", "metadata", "~/\u{1b}", "NAME", "flyte.secrets/s9"]).to_owned(), member);
    }
}

/// Changes bytes: bits, ends, copies of pieces, members twice.
pub fn of_bytes(random: &mut Random, bytes: &mut Vec<u8>) {
    for _ in 0..=random.below(3) {
        if bytes.is_empty() {
            return;
        }
        let (at, other) = (random.below(bytes.len()), random.below(bytes.len()));
        let piece = at.min(other)..at.max(other).min(at.min(other) + 200);
        match random.below(9) {
            0..=2 => bytes[at] ^= 1 << random.below(8),
            3 => bytes.truncate(at),
            4 => drop(bytes.drain(piece)),
            5 => {
                let copy = bytes[piece].to_vec();
                bytes.splice(at..at, copy);
            }
            6 => member_twice(random, bytes),
            7 => bytes[at] = random.next().to_le_bytes()[0],
            _ => {
                let odd = random.pick(&[
                    &b"\\ud800"[..],
                    b"\xff",
                    b"\0",
                    b"[[[[[[[[",
                    b"{\"a\":",
                    b"\xef\xbb\xbf",
                    b"1e999",
                    b"\\u0000",
                ]);
                bytes.splice(at..at, odd.to_vec());
            }
        }
    }
    if random.once_in(200) {
        let nested = vec![b'['; random.below(100_000)];
        let at = random.below(bytes.len() + 1);
        bytes.splice(at..at, nested);
    }
}

/// Writes one of the members that there are a second time, which no JSON value can hold.
fn member_twice(random: &mut Random, bytes: &mut Vec<u8>) {
    let member = random.pick(&[
        &br#""name":"twice","#[..],
        br#""flyte.secrets/s0":"","#,
        br#""project":"flytesnacks","#,
        br#""containers":[],"#,
        br#""uid":"twice","#,
    ]);
    let braces: Vec<usize> =
        bytes.iter().enumerate().filter(|(_, byte)| **byte == b'{').map(|(at, _)| at + 1).collect();
    if !braces.is_empty() {
        let at = braces[random.below(braces.len())];
        bytes.splice(at..at, member.to_vec());
    }
}
