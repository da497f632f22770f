//! Names that are near to a misspelled one. Pure.

/// Names of the known that are so near to `word` that it was probably meant; at most three, the nearest first.
pub fn near<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Vec<&'a str> {
    let word = letters(word);
    let most = (word.len() / 3).clamp(1, 3);
    let mut found: Vec<(usize, &str)> = known
        .into_iter()
        .filter_map(|name| {
            let other = letters(name);
            let distance = distance(&word, &other);
            let begins = (word.len() >= 4 && (other.starts_with(&word[..]) || other.ends_with(&word[..])))
                || (other.len() >= 3 && word.starts_with(&other[..]));
            (distance <= most || begins).then_some((distance, name))
        })
        .collect();
    found.sort();
    found.into_iter().take(3).map(|(_, name)| name).collect()
}

/// Case, blanks and hyphens are no difference.
fn letters(text: &str) -> Vec<char> {
    text.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).take(80).collect()
}

/// How many letters must be added, removed, replaced or swapped with their neighbour.
fn distance(a: &[char], b: &[char]) -> usize {
    let mut before_last: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for (row, from) in a.iter().enumerate() {
        let mut line = vec![row + 1];
        for (column, to) in b.iter().enumerate() {
            let replaced = last[column] + usize::from(from != to);
            let mut best = replaced.min(last[column + 1] + 1).min(line[column] + 1);
            let swapped = row > 0 && column > 0 && a[row - 1] == *to && b[column - 1] == *from;
            if swapped {
                best = best.min(before_last[column - 1] + 1);
            }
            line.push(best);
        }
        before_last = std::mem::replace(&mut last, line);
    }
    last[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_of_the_finger_finds_the_name_that_was_meant() {
        let words = ["eventOpened", "eventReopened", "eventUpdated", "eventResolved"];
        assert_eq!(near("eventOpend", words), ["eventOpened", "eventReopened"]);
        assert_eq!(near("eventUpdtaed", words), ["eventUpdated"]);
        assert_eq!(near("EVENT-RESOLVED", words), ["eventResolved"]);
        assert_eq!(near("Europe/Berlim", ["Europe/Berlin", "Europe/Dublin", "Asia/Tokyo"])[0], "Europe/Berlin");
        assert_eq!(near("Berlin", ["Europe/Berlin", "Asia/Tokyo"]), ["Europe/Berlin"]);
        assert_eq!(near("Monday", ["mon", "tue"]), ["mon"]);
        assert!(near("something else", words).is_empty());
    }
}
