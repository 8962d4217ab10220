//! What containers of the stand-in find below /usr: what this machine has there, and over it the files of our Debian
//! packages, as in the image that Docker builds of them.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};

use super::dockerfile::Dockerfile;
use crate::harness::{Build, Installed, run};

/// Directories whose `usr` are laid over each other, the uppermost first, and what starts without a command of its own.
#[derive(Clone, Debug)]
pub(super) struct Image {
    layers: Vec<PathBuf>,
    pub(super) command: Vec<String>,
    /// Where it finds programs.
    pub(super) path: String,
}

impl Image {
    /// Our build: the packages in the directory `TUTORIAL_PACKAGES`, unpacked, or else what cargo has built, at the same
    /// places.
    pub(super) fn ours(directory: &Path) -> Result<Self> {
        let installed = Installed::find()?;
        let layer = directory.join("ours");
        match std::env::var_os("TUTORIAL_PACKAGES") {
            Some(packages) => unpack(Path::new(&packages), &layer)?,
            None => place(&Build::ours()?, &installed, &layer)?,
        }
        let path = format!("{}:/usr/bin:/bin:/usr/sbin:/sbin", installed.bin.display());
        Ok(Self { layers: vec![layer], command: Vec::new(), path })
    }

    /// Adds what a Dockerfile copies from beside it.
    pub(super) fn with(&self, dockerfile: &Path, directory: &Path) -> Result<Self> {
        let contents = Dockerfile::read(dockerfile)?;
        let context = dockerfile.parent().context("a Dockerfile in no directory")?;
        for (file, target) in &contents.copies {
            copy(&context.join(file), &inside(directory, target)?)?;
        }
        let mut layers = self.layers.clone();
        layers.insert(0, directory.to_owned());
        Ok(Self { layers, command: contents.command, path: self.path.clone() })
    }

    /// The option of an overlay mount at /usr.
    pub(super) fn overlay(&self) -> String {
        let layers = self.layers.iter().map(|layer| layer.join("usr")).filter(|usr| usr.exists());
        let layers: Vec<String> = layers.map(|usr| usr.display().to_string()).collect();
        format!("lowerdir={}:/usr", layers.join(":"))
    }
}

fn unpack(packages: &Path, layer: &Path) -> Result<()> {
    fs::create_dir_all(layer)?;
    let mut count = 0;
    for entry in fs::read_dir(packages).with_context(|| packages.display().to_string())? {
        let package = entry?.path();
        if package.extension().is_some_and(|extension| extension == "deb") {
            run(Command::new("dpkg-deb").arg("-x").arg(package).arg(layer))?;
            count += 1;
        }
    }
    ensure!(count > 0, "there is no package in {}", packages.display());
    Ok(())
}

fn place(build: &Build, installed: &Installed, layer: &Path) -> Result<()> {
    copy(&build.autoctl, &inside(layer, "/usr/bin/pg_autoctl")?)?;
    copy(&build.library, &inside(layer, &installed.lib.join(build.library_name).display().to_string())?)?;
    for file in &build.extension_files {
        let name = file.file_name().context("a file without a name")?;
        let target = installed.share.join("extension").join(name);
        copy(file, &inside(layer, &target.display().to_string())?)?;
    }
    Ok(())
}

/// Where a layer has that path.
fn inside(layer: &Path, path: &str) -> Result<PathBuf> {
    if !path.starts_with("/usr/") {
        bail!("{path} is not below /usr, where the stand-in keeps images");
    }
    Ok(layer.join(path.trim_start_matches('/')))
}

fn copy(file: &Path, target: &Path) -> Result<()> {
    fs::create_dir_all(target.parent().context("a path without a directory")?)?;
    fs::copy(file, target).with_context(|| format!("copying {} to {}", file.display(), target.display()))?;
    Ok(())
}
