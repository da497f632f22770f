//! Links lead to files, and anchors to headings, that exist; so do paths that are written as code.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::{Page, pages, root};

/// The anchors that GitHub gives to the headings of a page.
fn anchors(page: &Page) -> BTreeSet<String> {
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    let mut anchors = BTreeSet::new();
    for (_, line) in page.parts().1 {
        let Some(heading) = line.strip_prefix('#').map(|rest| rest.trim_start_matches('#')) else { continue };
        let kept = |c: &char| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_');
        let slug: String = heading.trim().to_lowercase().chars().filter(kept).collect();
        let slug = slug.replace(' ', "-");
        let count = seen.entry(slug.clone()).or_default();
        anchors.insert(if *count == 0 { slug.clone() } else { format!("{slug}-{count}") });
        *count += 1;
    }
    anchors
}

/// What links and images of a line point to.
fn targets(line: &str) -> Vec<&str> {
    let markdown = line.split("](").skip(1).filter_map(|rest| rest.split(')').next());
    let html = ["src=\"", "srcset=\"", "href=\""]
        .into_iter()
        .flat_map(|name| line.split(name).skip(1).filter_map(|rest| rest.split('"').next()));
    markdown.chain(html).collect()
}

/// The line without what is in backticks.
fn without_code(line: &str) -> String {
    line.split('`').step_by(2).collect()
}

#[test]
fn every_link_and_anchor_leads_somewhere() {
    let pages = pages();
    let anchors: BTreeMap<&str, BTreeSet<String>> =
        pages.iter().map(|page| (page.path.as_str(), anchors(page))).collect();
    let (mut faults, mut followed) = (Vec::new(), 0);
    for page in &pages {
        let folder = Path::new(&page.path).parent().expect("a folder");
        for (number, line) in page.parts().1 {
            let line = without_code(line);
            for target in targets(&line) {
                if target.starts_with("https://") || target.starts_with("mailto:") {
                    continue;
                }
                followed += 1;
                let (file, anchor) = target.split_once('#').unwrap_or((target, ""));
                let path = if file.is_empty() { page.path.clone() } else { tidy(&folder.join(file)) };
                let known = root().join(&path).exists()
                    && (anchor.is_empty() || anchors.get(path.as_str()).is_some_and(|known| known.contains(anchor)));
                if !known {
                    faults.push(format!("{}:{number}: {target}", page.path));
                }
            }
        }
    }
    assert!(faults.is_empty(), "{faults:#?}");
    assert!(followed > 40, "there are links: {followed}");
}

/// A path without `..`.
fn tidy(path: &Path) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in path.iter().map(|part| part.to_str().expect("plain")) {
        match part {
            ".." => drop(parts.pop()),
            "." => {}
            part => parts.push(part),
        }
    }
    parts.join("/")
}

#[test]
fn paths_that_are_named_exist() {
    const PLACES: [&str; 7] = ["docs/", "src/", "tests/", "infra/", "functions/", ".ci/", ".github/"];
    let mut faults = Vec::new();
    for page in pages() {
        for (number, line) in page.parts().1 {
            for code in line.split('`').skip(1).step_by(2) {
                let path = code.split(['#', ':']).next().unwrap_or_default();
                let plain = path.chars().all(|c| c.is_ascii_alphanumeric() || "/._-".contains(c));
                if plain && PLACES.iter().any(|place| path.starts_with(place)) && !root().join(path).exists() {
                    faults.push(format!("{}:{number}: {code}", page.path));
                }
            }
        }
    }
    assert!(faults.is_empty(), "{faults:#?}");
}

#[test]
fn every_page_is_linked_from_the_index() {
    let index = pages().into_iter().find(|page| page.path == "docs/README.md").expect("the index");
    for page in pages().iter().filter(|page| page.path.starts_with("docs/") && page.path != index.path) {
        let name = page.path.trim_start_matches("docs/");
        assert!(index.text.contains(&format!("]({name})")), "{} is not in the index", page.path);
    }
}
