//! Changed inputs, always the same ones for the same number: bytes are turned, and JSON is changed as JSON, so that
//! most of it still means something.

use serde_json::{Value, json};

/// A small generator of numbers (xorshift64*).
#[derive(Debug)]
pub struct Random(u64);

impl Random {
    /// The sequence of that number.
    #[must_use]
    pub fn new(number: u64) -> Random {
        Random(number.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() % end.max(1) as u64).unwrap_or(0)
    }
}

/// Another input, made from one seed or two.
#[must_use]
pub fn change(seed: &[u8], other: &[u8], random: &mut Random) -> Vec<u8> {
    let mut bytes = match serde_json::from_slice::<Value>(seed) {
        Ok(mut document) if random.below(8) != 0 => {
            let other = serde_json::from_slice(other).unwrap_or(Value::Null);
            for _ in 0..=random.below(3) {
                change_value(&mut document, &other, random);
            }
            return document.to_string().into_bytes();
        }
        _ => seed.to_vec(),
    };
    for _ in 0..=random.below(6) {
        let place = random.below(bytes.len());
        match random.below(5) {
            0 => bytes.truncate(place),
            1 => bytes.insert(place, b",=:/.\\\0-0x\xff"[random.below(11)]),
            2 => {
                let part: Vec<u8> = other.iter().skip(random.below(other.len())).take(12).copied().collect();
                bytes.splice(place..place, part);
            }
            _ if bytes.is_empty() => bytes.push(b'x'),
            3 => bytes[place] ^= 1 << random.below(8),
            _ => drop(bytes.remove(place)),
        }
    }
    bytes
}

/// Values at the ends of what is possible.
fn strange(random: &mut Random) -> Value {
    let values = [
        Value::Null,
        json!(true),
        json!(0),
        json!(-1),
        json!(u32::MAX),
        json!(i64::MIN),
        json!(u64::MAX),
        json!(1.5),
        json!(""),
        json!("/"),
        json!("../../.."),
        json!("/proc/self/fd/7"),
        json!("a:b:c"),
        json!("\u{0}"),
        json!("ü\n"),
        json!("0-3,7,9-2"),
        json!("x".repeat(5000)),
        json!([]),
        json!({}),
        json!([[[[[[]]]]]]),
    ];
    values[random.below(values.len())].clone()
}

/// Changes one place: by a strange value, a value of another document, one more of the same, or none.
fn change_value(document: &mut Value, other: &Value, random: &mut Random) {
    let place = some_place(document, random);
    match random.below(6) {
        0 | 1 => *place = strange(random),
        2 => *place = some_value(other, random),
        3 => match place {
            Value::Array(list) if !list.is_empty() => {
                let copy = list[random.below(list.len())].clone();
                list.push(copy);
            }
            Value::String(text) => text.push_str("..,:=/%"),
            Value::Number(number) => *place = json!(number.as_i64().unwrap_or(0).wrapping_mul(-4096) + 1),
            _ => {}
        },
        4 => match place {
            Value::Array(list) if !list.is_empty() => drop(list.remove(random.below(list.len()))),
            Value::Object(members) if !members.is_empty() => {
                let key = members.keys().nth(random.below(members.len())).cloned().unwrap_or_default();
                members.remove(&key);
            }
            _ => {}
        },
        _ => {
            if let Value::Object(members) = place {
                members.insert("unheardOf".to_owned(), strange(random));
            }
        }
    }
}

fn some_place<'a>(value: &'a mut Value, random: &mut Random) -> &'a mut Value {
    let deeper = random.below(6) != 0;
    let length = match &*value {
        Value::Array(list) => list.len(),
        Value::Object(members) => members.len(),
        _ => 0,
    };
    if !deeper || length == 0 {
        return value;
    }
    let index = random.below(length);
    let inner = match value {
        Value::Array(list) => &mut list[index],
        Value::Object(members) => members.values_mut().nth(index).expect("an index within"),
        _ => unreachable!("it has a length"),
    };
    some_place(inner, random)
}

fn some_value(value: &Value, random: &mut Random) -> Value {
    some_place(&mut value.clone(), random).clone()
}
