//! The three lines of the README that put a server behind a pair, followed to the letter in an empty folder, and in a
//! network of their own, since their ports are fixed.

use std::path::Path;
use std::process::{Command, Stdio};

use tests::beside::follow;
use tests::programs::search_path;
use tests::{BOUND, Namespace, Outcome, ensure, skip};

/// The block of the README that has this line in it.
fn block(with: &str) -> Outcome<String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../README.md");
    let text = std::fs::read_to_string(&path).map_err(|error| error.to_string())?;
    let mut blocks = text.split("```sh\n").skip(1);
    let block = blocks.find_map(|rest| {
        let (block, _) = rest.split_once("```")?;
        block.contains(with).then(|| block.to_owned())
    });
    block.ok_or_else(|| format!("the README has no block with {with:?}"))
}

/// What happens after the three lines: they have shown a page, the primary is killed, the backup serves.
const AFTER: &str = r#"
pages=$?
kill -9 %1
curl --silent --show-error --retry 20 --retry-connrefused --max-time 10 http://127.0.0.1:8002/ > after.html
after=$?
kill %2
wait %2
exit $((pages + after))
"#;

#[test]
fn three_lines_put_a_server_behind_a_pair() -> Outcome<()> {
    let namespace = match Namespace::new() {
        Ok(namespace) => namespace,
        Err(why) => {
            skip(&why);
            return Ok(());
        }
    };
    if Command::new("curl")
        .arg("--version")
        .stdout(Stdio::null())
        .status()
        .is_err()
    {
        skip("there is no curl");
        return Ok(());
    }
    let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
    let script = format!("set -o pipefail\n{}{AFTER}", block("bstar run --primary")?);
    let mut command = Command::new("ip");
    command
        .args(["netns", "exec", namespace.name(), "bash", "-c", &script])
        .current_dir(folder.path())
        .env("PATH", search_path("bstar"))
        .env("XDG_RUNTIME_DIR", folder.path());
    let told = follow(&mut command, 3 * BOUND)?;
    ensure(told.contains("<!DOCTYPE"), || format!("no page: {told}"))?;
    let after = std::fs::read_to_string(folder.path().join("after.html"));
    let after = after.map_err(|error| error.to_string())?;
    ensure(after.contains("<!DOCTYPE"), || {
        format!("no page after the kill: {after}")
    })
}
