//! What somebody stumbles over who does not see a page, does not use a mouse, or whose browser takes its policy seriously.

use std::collections::BTreeSet;

use super::html::{Element, elements};

/// Everything that is wrong with a page. Empty for a good one.
pub fn faults(page: &str) -> Vec<String> {
    let elements = elements(page);
    let mut faults = Vec::new();
    let mut check = |holds: bool, fault: String| {
        if !holds {
            faults.push(fault);
        }
    };
    let all = |tag: &'static str| elements.iter().filter(move |element| element.tag == tag);
    check(page.trim_start().to_ascii_lowercase().starts_with("<!doctype html>"), "no doctype".to_owned());
    for tag in ["html", "title", "header", "main", "h1"] {
        check(all(tag).count() == 1, format!("{} elements {tag}", all(tag).count()));
    }
    check(all("html").all(|html| html.has("lang")), "no language".to_owned());
    check(all("title").all(|title| !title.text.is_empty()), "an empty title".to_owned());
    let zoom = all("meta").filter(|meta| meta.attribute("name") == Some("viewport"));
    let zooms = |meta: &Element| {
        meta.attribute("content")
            .is_some_and(|content| !content.contains("user-scalable") && !content.contains("maximum-scale"))
    };
    check(
        zoom.clone().count() == 1 && zoom.into_iter().all(zooms),
        "no viewport, or one that forbids to zoom".to_owned(),
    );

    let mut level = 0;
    for heading in elements.iter().filter_map(|element| element.tag.strip_prefix('h')?.parse::<u32>().ok()) {
        check(heading <= level + 1, format!("a heading h{heading} after h{level}"));
        level = heading;
    }

    let ids: Vec<&str> = elements.iter().filter_map(|element| element.attribute("id")).collect();
    let unique: BTreeSet<&str> = ids.iter().copied().collect();
    check(ids.len() == unique.len(), "an id twice".to_owned());
    let skip = all("a").next().and_then(|link| link.attribute("href")).unwrap_or_default();
    let main = all("main").next().and_then(|main| main.attribute("id"));
    check(skip.strip_prefix('#') == main && main.is_some(), "the first link does not skip to the content".to_owned());
    for link in all("a") {
        let href = link.attribute("href");
        check(href.is_some() && !link.text.is_empty(), format!("a link without target or words: {:?}", link.text));
        if let Some(target) = href.and_then(|href| href.strip_prefix('#')) {
            check(unique.contains(target), format!("a link to #{target}, which is not there"));
        }
    }

    for field in elements.iter().filter(|one| matches!(one.tag.as_str(), "input" | "select" | "textarea")) {
        let labelled = field.parents.iter().any(|parent| parent == "label")
            || field.has("aria-label")
            || field.attribute("id").is_some_and(|id| all("label").any(|label| label.attribute("for") == Some(id)));
        let hidden = field.attribute("type") == Some("hidden");
        check(hidden || labelled, format!("a field without label: {:?}", field.attribute("name")));
    }
    check(all("button").all(|button| !button.text.is_empty()), "a button without words".to_owned());
    check(all("img").all(|image| image.has("alt")), "a picture without words".to_owned());
    check(all("fieldset").count() == all("legend").count(), "a group of fields without legend".to_owned());
    check(all("nav").all(|nav| nav.has("aria-label")), "a navigation without name".to_owned());
    let in_list = |item: &Element| matches!(item.parents.last().map(String::as_str), Some("ul" | "ol"));
    check(all("li").all(in_list), "a list item outside of lists".to_owned());

    check(all("script").count() == 0, "a script".to_owned());
    for element in &elements {
        for (name, value) in &element.attributes {
            let loads =
                matches!(name.as_str(), "src" | "srcset" | "data" | "background") && !value.starts_with("data:image/");
            let runs = name.starts_with("on") || name == "style" || value.trim_start().starts_with("javascript:");
            check(!loads && !runs, format!("{name} on {}", element.tag));
            let jumps = name == "tabindex" && !matches!(value.as_str(), "0" | "-1");
            check(!jumps, format!("an order of its own for the keyboard, on {}", element.tag));
        }
    }
    faults
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = r##"<!DOCTYPE html><html lang="en"><head><meta name="viewport" content="width=device-width">
        <title>t</title></head><body><a href="#c">Skip</a><header>x</header><main id="c"><h1>One</h1><h2>Two</h2>
        <ul><li><label><input name="a" type="checkbox"> A</label></li></ul><button>Go</button></main></body></html>"##;

    #[test]
    fn a_good_page_has_no_fault_and_each_fault_is_found() {
        assert_eq!(faults(GOOD), Vec::<String>::new());
        for (good, bad, fault) in [
            ("<!DOCTYPE html>", "", "no doctype"),
            (" lang=\"en\"", "", "no language"),
            ("<title>t</title>", "", "0 elements title"),
            ("width=device-width", "user-scalable=no", "no viewport, or one that forbids to zoom"),
            ("<h2>Two</h2>", "<h3>Two</h3>", "a heading h3 after h1"),
            ("<h2>Two</h2>", "<h1>Two</h1>", "2 elements h1"),
            ("href=\"#c\"", "href=\"#d\"", "the first link does not skip to the content"),
            ("<label>", "", "a field without label: Some(\"a\")"),
            ("<button>Go</button>", "<button></button>", "a button without words"),
            ("<button>", "<button onclick=\"x()\">", "onclick on button"),
            ("<button>", "<img src=\"https://x.example/a.png\" alt=\"\"><button>", "src on img"),
            ("<button>", "<script>x()</script><button>", "a script"),
            ("<ul>", "<div>", "a list item outside of lists"),
            ("<button>", "<p id=\"c\"></p><button>", "an id twice"),
            ("<button>", "<button tabindex=\"3\">", "an order of its own for the keyboard, on button"),
        ] {
            let found = faults(&GOOD.replace(good, bad));
            assert!(found.iter().any(|found| found == fault), "{fault:?} in {found:?}");
        }
    }
}
