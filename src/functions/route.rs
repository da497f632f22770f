//! Routes as function.json writes them: literal segments, `{parameter}`, and `{*rest}` at the end.

use std::fmt;

/// A route below the prefix.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route(Vec<Segment>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Segment {
    Literal(String),
    Parameter(String),
    Rest(String),
}

impl Route {
    /// Reads a route. The rest of the platform's syntax (constraints, defaults, optional parameters) is refused.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        if text.starts_with('/') || text.ends_with('/') {
            return Err(format!("the route {text:?} starts or ends with a slash"));
        }
        let mut segments = Vec::new();
        for part in text.split('/') {
            if matches!(segments.last(), Some(Segment::Rest(_))) {
                return Err(format!("the route {text:?} goes on after its catch-all"));
            }
            let is_word = |word: &str| {
                !word.is_empty() && word.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'))
            };
            let inner = part.strip_prefix('{').and_then(|part| part.strip_suffix('}'));
            segments.push(match inner {
                None if is_word(part) => Segment::Literal(part.to_owned()),
                Some(name) if is_word(name) => Segment::Parameter(name.to_owned()),
                Some(name) if name.strip_prefix('*').is_some_and(is_word) => Segment::Rest(name[1..].to_owned()),
                _ => return Err(format!("the route {text:?} has a segment {part:?} that is not understood")),
            });
        }
        Ok(Self(segments))
    }

    /// True when the path (without prefix and leading slash) is one of this route's. Letters of any case are the same,
    /// one slash at the end does not matter, and a catch-all may be empty: as the platform's router has it.
    pub fn matches(&self, path: &str) -> bool {
        let path = path.strip_suffix('/').unwrap_or(path);
        let mut parts = path.split('/').filter(|_| !path.is_empty());
        for segment in &self.0 {
            match (segment, parts.next()) {
                (Segment::Rest(_), _) => return true,
                (Segment::Literal(word), Some(part)) if word.eq_ignore_ascii_case(part) => {}
                (Segment::Parameter(_), Some(part)) if !part.is_empty() => {}
                _ => return false,
            }
        }
        parts.next().is_none()
    }

    /// True when some path is one of both routes': on the host, the function with the earlier name would swallow the
    /// other's requests.
    pub fn overlaps(&self, other: &Self) -> bool {
        let (mut ours, mut theirs) = (self.0.iter(), other.0.iter());
        loop {
            match (ours.next(), theirs.next()) {
                (Some(Segment::Rest(_)), _) | (_, Some(Segment::Rest(_))) | (None, None) => return true,
                (Some(Segment::Literal(one)), Some(Segment::Literal(two))) if !one.eq_ignore_ascii_case(two) => {
                    return false;
                }
                (Some(_), Some(_)) => {}
                (None, Some(_)) | (Some(_), None) => return false,
            }
        }
    }
}

impl fmt::Display for Route {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, segment) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str("/")?;
            }
            match segment {
                Segment::Literal(word) => f.write_str(word)?,
                Segment::Parameter(name) => write!(f, "{{{name}}}")?,
                Segment::Rest(name) => write!(f, "{{*{name}}}")?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn route(text: &str) -> Route {
        Route::parse(text).unwrap()
    }

    #[test]
    fn a_route_matches_its_own_paths_only() {
        assert!(route("consent/start").matches("consent/start"));
        assert!(route("consent/start").matches("Consent/START/"));
        assert!(!route("consent/start").matches("consent"));
        assert!(!route("consent/start").matches("consent/start/now"));
        assert!(!route("consent/start").matches("consent//start"));
        assert!(route("probe/{kind}").matches("probe/live"));
        assert!(!route("probe/{kind}").matches("probe/"));
        assert!(!route("probe/{kind}").matches("probe/a/b"));
        assert!(route("v1/{*path}").matches("v1"));
        assert!(route("v1/{*path}").matches("v1/a/b/c"));
        assert!(!route("v1/{*path}").matches("v10/a"));
        assert!(!route("v1/{*path}").matches(""));
    }

    #[test]
    fn routes_overlap_when_a_path_is_of_both() {
        assert!(route("v1/{*path}").overlaps(&route("v1/customers")));
        assert!(route("v1/{*path}").overlaps(&route("v1")));
        assert!(route("{a}/b").overlaps(&route("c/{d}")));
        assert!(!route("v1/{*path}").overlaps(&route("probe/{kind}")));
        assert!(!route("a/b").overlaps(&route("a")));
        assert!(!route("a/b").overlaps(&route("a/c")));
    }

    #[test]
    fn a_route_that_is_not_understood_is_refused() {
        for wrong in ["", "/a", "a/", "a//b", "{*a}/b", "{a:int}", "{a?}", "{}", "{*}", "a b", "{a"] {
            assert!(Route::parse(wrong).is_err(), "{wrong}");
        }
        assert_eq!(route("v1/{*path}").to_string(), "v1/{*path}");
        assert_eq!(route("probe/{kind}").to_string(), "probe/{kind}");
    }
}
