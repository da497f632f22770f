//! The handlers as they are deployed: optimised for size, with nothing that the machine must have but a kernel.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::{Error, failed};

/// The Rust target unless another is asked for. Its std comes with every toolchain on a Linux machine, and glibc can be linked
/// statically too; `x86_64-unknown-linux-musl` is as good where its std is installed.
pub const TARGET: &str = "x86_64-unknown-linux-gnu";

/// A static glibc still loads plugins that `/etc/nsswitch.conf` names, and with them the machine's own libc, which is another
/// one than ours: a crash at the first name that is looked up. Files and DNS are built in; nothing else is asked.
const NAMES: &str = r#"extern int __nss_configure_lookup(const char *, const char *);
__attribute__((constructor)) static void only_what_is_built_in(void) { __nss_configure_lookup("hosts", "files dns"); }
"#;

/// AWS-LC without what it has twice, for processors with ADX and BMI2: of X25519 and Ed25519 alone that is 0.2 MB of constants, which
/// no zip makes smaller. Nothing unwinds through its C.
const CRYPTOGRAPHY: &str =
    "-DMY_ASSEMBLER_IS_TOO_OLD_FOR_ADX_AVX2=1 -fno-asynchronous-unwind-tables -fno-unwind-tables";

/// Which host the handler is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Door {
    /// Azure Functions.
    Functions,
    /// AWS Lambda.
    Lambda,
}

impl Door {
    /// The cargo binary.
    pub fn binary(self) -> &'static str {
        match self {
            Self::Functions => "azure",
            Self::Lambda => "lambda",
        }
    }

    /// The most bytes that its handler and its zip may have: a little above what they have (docs/package.md), so that a dependency
    /// that weighs much is noticed.
    pub fn limits(self) -> Limits {
        match self {
            Self::Functions => Limits { handler: 12_000_000, zip: 5_000_000 },
            Self::Lambda => Limits { handler: 17_000_000, zip: 7_000_000 },
        }
    }

    /// Its cargo features, which no other has.
    pub(super) fn features(self) -> &'static [&'static str] {
        match self {
            Self::Functions => &["--no-default-features"],
            Self::Lambda => &["--no-default-features", "--features", "lambda"],
        }
    }
}

/// The most bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Of the program.
    pub handler: usize,
    /// Of the zip.
    pub zip: u64,
}

/// Builds a handler and gives its path.
///
/// # Errors
/// [`Error::Build`], [`Error::Io`].
pub fn build(root: &Path, door: Door, target: &str) -> Result<PathBuf, Error> {
    // Its own directory: another set of features would else rebuild what `cargo test` built.
    let directory = root.join("target").join("deploy");
    let mut cargo = Command::new("cargo");
    cargo.current_dir(root).args(["rustc", "--locked", "--profile", "deploy", "--bin", door.binary()]);
    cargo.args(door.features()).args(["--target", target, "--target-dir"]).arg(&directory);
    // The same program wherever it is built: the places of this machine are not in it.
    let called = places(root).into_iter().zip(["/health-monitor", "/cargo"]);
    let mut flags: Vec<String> =
        called.map(|(place, name)| format!("--remap-path-prefix={}={name}", place.display())).collect();
    // One function where several came out the same, of which generic code has many; those that are alike beside each other, which
    // deflate finds; ends of texts that others end with too told once; no name of the build, which would be noise.
    cargo.args([
        "--",
        "-Clink-arg=-Wl,--strip-all",
        "-Clink-arg=-Wl,--icf=all",
        "-Clink-arg=-Wl,--bp-compression-sort=both",
    ]);
    cargo.args(["-Clink-arg=-Wl,-O2", "-Clink-arg=-Wl,--build-id=none"]);
    if target.ends_with("-gnu") {
        flags.push("-Ctarget-feature=+crt-static".to_owned());
        cargo.arg(format!("-Clink-arg={}", names(&directory)?.display()));
        // 59,000 addresses to be moved in 24 KB instead of 1.4 MB; a static glibc 2.36 and newer moves them by itself.
        cargo.arg("-Clink-arg=-Wl,-z,pack-relative-relocs");
    }
    // What unwinds a frame that has a pointer to it is told in a third less.
    flags.push("-Cforce-frame-pointers=yes".to_owned());
    // AWS-LC would measure the processor's jitter for 25 ms before its first random byte, beside the kernel's; the kernel's are enough.
    cargo.env("AWS_LC_SYS_NO_JITTER_ENTROPY", "1").env("AWS_LC_SYS_CFLAGS", CRYPTOGRAPHY);
    // Instead of flags of the environment, which would make it another program.
    cargo.env_remove("RUSTFLAGS").env("CARGO_ENCODED_RUSTFLAGS", flags.join("\x1f"));
    let status = cargo.status().map_err(|error| Error::Build(format!("cargo: {error}")))?;
    if !status.success() {
        return Err(Error::Build(format!("cargo: {status}")));
    }
    Ok(directory.join(target).join("deploy").join(door.binary()))
}

/// Compiles what keeps a static glibc from loading plugins.
fn names(directory: &Path) -> Result<PathBuf, Error> {
    fs::create_dir_all(directory).map_err(failed("create", directory))?;
    let source = directory.join("names.c");
    fs::write(&source, NAMES).map_err(failed("write", &source))?;
    let object = directory.join("names.o");
    let status = Command::new("cc").args(["-c", "-O2", "-fPIC", "-o"]).args([&object, &source]).status();
    let status = status.map_err(|error| Error::Build(format!("cc: {error}")))?;
    if status.success() { Ok(object) } else { Err(Error::Build(format!("cc: {status}"))) }
}

/// The directories of this machine that a build sees: the sources, and cargo's home with those of dependencies.
pub fn places(root: &Path) -> Vec<PathBuf> {
    let home = || env::home_dir().map(|home| home.join(".cargo"));
    let cargo_home = env::var_os("CARGO_HOME").map(PathBuf::from).or_else(home);
    [Some(root.to_owned()), cargo_home].into_iter().flatten().collect()
}
