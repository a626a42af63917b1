//! A copy of the source that is kept from run to run. Only what differs is written, so that cargo builds only that.

use std::{
    collections::{BTreeMap, BTreeSet},
    ffi::OsStr,
    fs,
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context, Result, ensure};

/// The files of the source that git tracks, or would: all but what it is told to ignore.
pub(crate) fn files(source: &Path) -> Result<BTreeSet<PathBuf>> {
    let output = Command::new("git")
        .args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"])
        .current_dir(source)
        .stderr(Stdio::inherit())
        .output()
        .context("git cannot be run")?;
    ensure!(output.status.success(), "git does not know the files of {}", source.display());
    let names = output.stdout.split(|byte| *byte == 0).filter(|name| !name.is_empty());
    let paths = names.map(|name| PathBuf::from(OsStr::from_bytes(name)));
    // Git still has what was removed and not committed.
    Ok(paths.filter(|path| source.join(path).is_file()).collect())
}

/// Makes `copy` these files of the source, and nothing else; those in `changed` have the text that stands there.
pub(crate) fn refresh(
    source: &Path,
    files: &BTreeSet<PathBuf>,
    changed: &BTreeMap<&str, String>,
    copy: &Path,
) -> Result<()> {
    for path in files {
        let bytes = match path.to_str().and_then(|path| changed.get(path)) {
            Some(text) => text.clone().into_bytes(),
            None => fs::read(source.join(path))?,
        };
        write(&copy.join(path), &bytes)?;
    }
    remove_others(copy, copy, files)
}

fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    if fs::read(path).is_ok_and(|before| before == bytes) {
        return Ok(());
    }
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    fs::write(path, bytes).with_context(|| path.display().to_string())
}

/// A test program that is no more in the source must not be built.
fn remove_others(folder: &Path, copy: &Path, files: &BTreeSet<PathBuf>) -> Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            remove_others(&path, copy, files)?;
        } else if !files.contains(path.strip_prefix(copy)?) {
            fs::remove_file(path)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::{
        collections::BTreeMap,
        fs,
        process::Command,
        time::{Duration, SystemTime},
    };

    use super::{files, refresh};

    #[test]
    fn files_that_git_ignores_or_that_were_removed_are_not_copied() {
        let source = tempfile::tempdir().unwrap();
        let git = |arguments: &[&str]| {
            let status = Command::new("git").args(arguments).current_dir(&source).status();
            assert!(status.unwrap().success(), "{arguments:?}");
        };
        let write = |name, text| fs::write(source.path().join(name), text).unwrap();
        git(&["init", "--quiet"]);
        write(".gitignore", "/ignored\n");
        write("removed", "");
        git(&["add", "."]);
        fs::remove_file(source.path().join("removed")).unwrap();
        write("ignored", "");
        write("new", "");
        assert_eq!(files(source.path()).unwrap(), [".gitignore", "new"].map(Into::into).into());
    }

    #[test]
    fn a_copy_is_what_the_source_is_now_and_what_did_not_change_is_not_written() {
        let (source, copy) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let (source, copy) = (source.path(), copy.path());
        fs::create_dir(source.join("src")).unwrap();
        for name in ["src/a.rs", "src/b.rs", "c"] {
            fs::write(source.join(name), name).unwrap();
        }
        let all = ["src/a.rs", "src/b.rs", "c"].map(Into::into).into();
        refresh(source, &all, &BTreeMap::new(), copy).unwrap();
        let earlier = SystemTime::UNIX_EPOCH + Duration::from_secs(1);
        for name in ["src/a.rs", "src/b.rs"] {
            fs::File::options()
                .append(true)
                .open(copy.join(name))
                .unwrap()
                .set_modified(earlier)
                .unwrap();
        }

        let without_c = ["src/a.rs", "src/b.rs"].map(Into::into).into();
        let changed = BTreeMap::from([("src/b.rs", "changed".to_owned())]);
        refresh(source, &without_c, &changed, copy).unwrap();
        let modified = |name| fs::metadata(copy.join(name)).unwrap().modified().unwrap();
        assert_eq!(fs::read_to_string(copy.join("src/a.rs")).unwrap(), "src/a.rs");
        assert_eq!(modified("src/a.rs"), earlier);
        assert_eq!(fs::read_to_string(copy.join("src/b.rs")).unwrap(), "changed");
        assert_ne!(modified("src/b.rs"), earlier);
        assert!(!copy.join("c").exists());
    }
}
