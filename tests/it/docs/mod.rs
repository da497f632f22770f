//! The documentation: every link leads somewhere, every command is what the program takes, every example is run.

mod cli_page;
mod commands;
mod library;
mod links;
mod openapi;
mod receiver;
mod shape;
mod tables;
mod upgrade;

use std::fs;
use std::path::{Path, PathBuf};

/// A page of the documentation.
pub struct Page {
    /// Its path from the root of the repository.
    pub path: String,
    pub text: String,
}

/// A fenced block of a page.
pub struct Block {
    /// What stands behind the fence, such as `sh` or `sh az`.
    pub kind: String,
    /// The line of the fence.
    pub line: usize,
    pub text: String,
}

pub fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// Every Markdown page that people read: at the root, below `docs` and below `.github`.
pub fn pages() -> Vec<Page> {
    fn walk(folder: &Path, deep: bool, found: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(folder).into_iter().flatten() {
            let path = entry.expect("readable").path();
            match path.is_dir() {
                true if deep => walk(&path, deep, found),
                false if path.extension().is_some_and(|extension| extension == "md") => found.push(path),
                _ => {}
            }
        }
    }
    let mut found = Vec::new();
    walk(&root(), false, &mut found);
    walk(&root().join("docs"), true, &mut found);
    walk(&root().join(".github"), true, &mut found);
    found.sort();
    let page = |path: PathBuf| Page {
        text: fs::read_to_string(&path).expect("text"),
        path: path.strip_prefix(root()).expect("below the root").to_str().expect("plain").to_owned(),
    };
    found.into_iter().map(page).collect()
}

impl Page {
    /// Its fenced blocks, and what is outside of them, line by line with line numbers.
    pub fn parts(&self) -> (Vec<Block>, Vec<(usize, &str)>) {
        let (mut blocks, mut prose) = (Vec::new(), Vec::new());
        let mut open: Option<Block> = None;
        for (number, line) in (1..).zip(self.text.lines()) {
            match (open.as_mut(), line.trim_start().strip_prefix("```")) {
                (None, Some(kind)) => {
                    open = Some(Block { kind: kind.trim().to_owned(), line: number, text: String::new() });
                }
                (Some(_), Some("")) => blocks.extend(open.take()),
                (Some(block), _) => {
                    block.text.push_str(line);
                    block.text.push('\n');
                }
                (None, None) => prose.push((number, line)),
            }
        }
        assert!(open.is_none(), "{}: a block is not closed", self.path);
        (blocks, prose)
    }
}

#[test]
fn every_block_says_what_it_is() {
    for page in pages() {
        for block in page.parts().0 {
            let place = format!("{}:{}: `{}`", page.path, block.line, block.kind);
            assert!(!block.kind.is_empty(), "{place} says nothing");
            // Commands have one name, so that none is passed over because it is called otherwise.
            assert!(!["bash", "shell", "console", "zsh"].contains(&block.kind.as_str()), "{place}: call it sh");
            let marks = ["sh", "sh az", "sh aws", "sh long"];
            assert!(
                !block.kind.starts_with("sh") || marks.contains(&block.kind.as_str()),
                "{place} is none of {marks:?}"
            );
            if block.kind == "json" {
                let read: Result<serde_json::Value, _> = serde_json::from_str(&block.text);
                assert!(read.is_ok(), "{place}: {}", read.expect_err("a fault"));
            }
        }
    }
}

#[test]
fn nothing_is_left_to_be_filled_in() {
    for page in pages() {
        for (number, line) in (1..).zip(page.text.lines()) {
            for word in ["@@", "TODO", "TBD", "FIXME", "XXX"] {
                assert!(!line.contains(word), "{}:{number}: {word}", page.path);
            }
        }
    }
}
