//! Makes inputs out of others: it changes bytes, and words, strings and JSON values in them.

use std::ops::Range;

/// No input grows beyond this.
const BYTES_MAX: usize = 256 * 1024;

/// Words and values that readers often fail at, or that have a meaning for one of the targets.
#[rustfmt::skip] // a list of words
const WORDS: &[&str] = &[
    "null", "true", "false", "0", "-0", "-1", "1", "1.0", "1.5", "1e2", "1e999", "-1e-999", "127", "255", "65536", "2147483647",
    "2147483648", "-2147483648", "-2147483649", "4294967295", "4294967296", "9007199254740993", "9223372036854775806",
    "9223372036854775807", "9223372036854775808", "18446744073709551615", "18446744073709551616", "123456789012345678901234567890",
    "\"\"", "\" \"", "\"0\"", "\"\\u0000\"", "\"\\ud800\"", "\"\\udc00\\ud800\"", "\"\u{fdd0}\"", "\"\u{feff}x\"", "\"a\\u0062c\"",
    "\"\\\"\"", "\"0000-00-00\"", "\"2024-02-30\"", "\"2024-2-9\"", "\"2024-02-29T10:20:60.1234567890\"", "\"9999-12-31T23:59:59\"",
    "\"2024-02-29 10:20:30\"", "[]", "{}", "[[]]", "[null]", "{\"a\":{\"b\":[]}}", "{\"\":0,\"\":1}",
    "\"Insert\"", "\"Update\"", "\"Delete\"", "\"delete\"", "\"Merge\"", "\"UPSERT\"", "\"asset\"", "\"asset_log\"", "\"asset_class\"",
    "\"name\"", "\"store\"", "\"name_store_join\"", "\"vaccination\"", "\"rnr_form\"", "\"hologram\"", "\"preference\"",
    "\"edit\"", "\"planted\"", "\"class\"", "\"of_b\"", "\"of_c\"", "\"of_nobody\"", "\"STORE_SITE_B\"", "\"STORE_SITE_C\"", "\"patient\"",
    "\"FUNCTIONING\"", "\"site_b\"", "\"site_c\"", "\"notACentralServer\"", "\"integrationInProgress\"",
    "\"lost_history\":[{\"after\":0,\"before\":9}],", "[{\"after\":5,\"before\":60}]", "{\"after\":0,\"before\":9223372036854775806}", "lost=3 4",
    "{\"syncVersionMismatch\":[0,9,5]}", "{\"otherServerError\":\"code: 'SiteIncorrectPassword'\"}", "\"site_incorrect_hardware_id\"",
    "once", "site", "records", "pull", "push", "status", "200", "204", "299", "301", "400", "401", "404", "405", "408", "413", "415",
    "429", "500", "502", "599", "text/html", "broken", "cut", "timeout", "location=http://x/", "raw", "twice", "members=3", "fill=70",
    "cut=1", "tail=4", "flip=9", "coding=br", "GET", "PUT", "POST", "/sync/v5/site", "/central/sync/pull", "/central/sync/push",
    "/central/sync/site_status", "/central/sync/patient-pull", "/sync/v5/central_records?cursor=0&limit=500", "byte", "fill", "set",
];

/// Makes inputs, the same ones from the same seed.
pub struct Mutator(u64);

impl Mutator {
    /// A mutator that begins with this seed.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// splitmix64.
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound.max(1) as u64) as usize
    }

    fn range(&mut self, length: usize, most: usize) -> Range<usize> {
        let start = self.below(length + 1);
        start..(start + self.below(most + 1)).min(length)
    }

    fn pick<'a, T>(&mut self, list: &'a [T]) -> Option<&'a T> {
        let at = self.below(list.len());
        list.get(at)
    }

    /// An input made of one of these, with parts of the others.
    pub fn input(&mut self, others: &[Vec<u8>]) -> Vec<u8> {
        let begin = self.pick(others).cloned().unwrap_or_default();
        self.mutate(begin, others)
    }

    /// Changes an input in one to six places.
    pub fn mutate(&mut self, mut input: Vec<u8>, others: &[Vec<u8>]) -> Vec<u8> {
        for _ in 0..=self.below(3) * self.below(3) {
            match self.below(10) {
                0..=4 => self.change_value(&mut input, others),
                5 => self.change_key(&mut input),
                6 => self.splice(&mut input, others),
                _ => self.change_bytes(&mut input),
            }
            input.truncate(BYTES_MAX);
        }
        input
    }

    /// Replaces, removes, doubles or exchanges a value or a word.
    fn change_value(&mut self, input: &mut Vec<u8>, others: &[Vec<u8>]) {
        let spans = spans(input);
        let Some(span) = self.pick(&spans).cloned() else { return };
        let new = match self.below(8) {
            0 => {
                // With the comma before or after it.
                let after = input.get(span.end) == Some(&b',');
                let before = span.start.checked_sub(1).filter(|at| input[*at] == b',');
                let from = if after { span.start } else { before.unwrap_or(span.start) };
                input.drain(from..span.end + usize::from(after));
                return;
            }
            1 => [&input[span.clone()], b",", &input[span.clone()]].concat(),
            2 => {
                let other = self.pick(&spans).cloned().unwrap_or(span.clone());
                input[other].to_vec()
            }
            3 => {
                let other = self.pick(others).cloned().unwrap_or_default();
                let spans = self::spans(&other);
                self.pick(&spans).map_or_else(Vec::new, |span| other[span.clone()].to_vec())
            }
            4 => self.extreme(&input[span.clone()]),
            _ => self.pick(WORDS).copied().unwrap_or_default().as_bytes().to_vec(),
        };
        input.splice(span, new);
    }

    /// A value that is deep, long or wrapped.
    fn extreme(&mut self, value: &[u8]) -> Vec<u8> {
        match self.below(6) {
            0 => {
                let depth = [63, 64, 65, 126, 127, 128, 129, 5000][self.below(8)];
                [b"[".repeat(depth), value.to_vec(), b"]".repeat(depth)].concat()
            }
            1 => {
                let depth = [64, 65, 128, 2000][self.below(4)];
                [b"{\"a\":".repeat(depth), value.to_vec(), b"}".repeat(depth)].concat()
            }
            2 => {
                let length = [254, 255, 256, 257, 4096, 70_000][self.below(6)];
                [b"\"".to_vec(), b"x".repeat(length), b"\"".to_vec()].concat()
            }
            3 => [b"\"".as_slice(), value, b"\""].concat(),
            4 => value.strip_prefix(b"\"").and_then(|text| text.strip_suffix(b"\"")).unwrap_or(value).to_vec(),
            _ => value.iter().flat_map(|byte| format!("\\u{byte:04x}").into_bytes()).collect(),
        }
    }

    /// Gives a key another name, of this input or in another case.
    fn change_key(&mut self, input: &mut Vec<u8>) {
        let strings: Vec<Range<usize>> = spans(input).into_iter().filter(|span| input[span.start] == b'"').collect();
        let keys: Vec<Range<usize>> =
            strings.iter().filter(|span| input.get(span.end) == Some(&b':')).cloned().collect();
        let (Some(key), Some(other)) = (self.pick(&keys).cloned(), self.pick(&strings).cloned()) else { return };
        let new = match self.below(3) {
            0 => input[key.clone()].to_ascii_uppercase(),
            1 => [b"\"x".as_slice(), &input[key.start + 1..key.end]].concat(),
            _ => input[other].to_vec(),
        };
        input.splice(key, new);
    }

    /// Continues with the rest of another input, or with a whole one after a line `%%`.
    fn splice(&mut self, input: &mut Vec<u8>, others: &[Vec<u8>]) {
        let Some(other) = self.pick(others) else { return };
        if self.below(2) == 0 {
            input.extend_from_slice(b"\n%%\n");
            input.extend_from_slice(other);
        } else {
            let at = self.below(input.len() + 1);
            input.truncate(at);
            let from = at.min(other.len());
            input.extend_from_slice(&other[from..]);
        }
    }

    fn change_bytes(&mut self, input: &mut Vec<u8>) {
        const BYTES: &[u8] = b"\0\x01\x7f\x80\xc3\xed\xff\"\\{}[],: \n%0-e";
        let at = self.below(input.len().max(1));
        let new = self.pick(BYTES).copied().unwrap_or(0);
        match self.below(7) {
            0 if at < input.len() => input[at] = new,
            1 if at < input.len() => input[at] ^= 1 << self.below(8),
            2 => input.insert(at.min(input.len()), new),
            3 => input.truncate(at),
            4 => {
                let range = self.range(input.len(), 40);
                let copy = input[range.clone()].to_vec();
                input.splice(range.start..range.start, copy);
            }
            5 => {
                // Half a surrogate as UTF-8, an overlong slash, a code beyond Unicode: none of them is UTF-8.
                let bytes: [&[u8]; 3] = [b"\xed\xa0\x80", b"\xc0\xaf", b"\xf4\x90\x80\x80"];
                let chosen = bytes[self.below(3)];
                input.splice(at.min(input.len())..at.min(input.len()), chosen.iter().copied());
            }
            _ => {
                let range = self.range(input.len(), 40);
                input.drain(range);
            }
        }
    }
}

/// The places of values: strings, words, numbers, and contents of brackets. The bytes need not be JSON.
fn spans(input: &[u8]) -> Vec<Range<usize>> {
    let (mut spans, mut open, mut at) = (Vec::new(), Vec::new(), 0);
    let is_word = |byte: &u8| byte.is_ascii_alphanumeric() || b"+-._/=?&".contains(byte);
    while at < input.len() {
        let start = at;
        at += 1;
        match input[start] {
            b'"' => {
                while at < input.len() && input[at] != b'"' {
                    at += 1 + usize::from(input[at] == b'\\');
                }
                at = (at + 1).min(input.len());
                spans.push(start..at);
            }
            b'{' | b'[' => open.push(start),
            b'}' | b']' => spans.extend(open.pop().map(|start| start..at)),
            byte if is_word(&byte) => {
                while input.get(at).is_some_and(is_word) {
                    at += 1;
                }
                spans.push(start..at);
            }
            _ => {}
        }
    }
    spans
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_found() {
        let input = br#"pull 200 {"a":[1,"x\"y"],"b":"#;
        let found: Vec<&str> =
            spans(input).into_iter().map(|span| std::str::from_utf8(&input[span]).unwrap()).collect();
        assert_eq!(found, ["pull", "200", "\"a\"", "1", r#""x\"y""#, r#"[1,"x\"y"]"#, "\"b\""]);
        for broken in [&b"\""[..], b"\"\\", b"}]", b"[[[", b"", b"\xff"] {
            assert!(spans(broken).iter().all(|span| span.end <= broken.len()), "{broken:?}");
        }
    }

    #[test]
    fn the_same_seed_makes_the_same_inputs_and_another_one_others() {
        let seeds = vec![br#"{"a":[1,2,{"b":"c"}]}"#.to_vec(), b"pull 200 once".to_vec()];
        let made = |seed| {
            let mut mutator = Mutator::new(seed);
            (0..200).map(|_| mutator.input(&seeds)).collect::<Vec<_>>()
        };
        assert_eq!(made(1), made(1));
        assert_ne!(made(1), made(2));
        assert!(made(1).iter().all(|input| input.len() <= BYTES_MAX));
        let changed = made(1).iter().filter(|input| !seeds.contains(input)).count();
        assert!(changed > 150, "{changed}");
    }
}
