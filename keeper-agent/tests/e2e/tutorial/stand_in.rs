//! Does what `docker compose` does where there is no Docker daemon, with the same compose files.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, bail};

use super::backend::Compose;
use super::command::{Exec, Up};
use super::compose_file::{ComposeFile, Condition, Service};
use super::container::{Container, ContainerSpec};
use super::image::Image;
use crate::harness::{Ended, Installed, Link, Network, remove_directory, run_directory, wait_looking_every};

/// What a service waits for must come within this time.
const DEPENDENCY_DEADLINE: Duration = Duration::from_secs(120);
/// Between two health checks.
const LOOK_AGAIN_AFTER: Duration = Duration::from_millis(250);
/// Networks of clusters have smaller numbers.
const FIRST_SERIAL: usize = 1000;
/// How many lines of each log are shown when a step fails.
const LOG_LINES: usize = 40;

/// The stand-in.
pub(super) struct StandIn {
    /// Where the compose files are.
    directory: PathBuf,
    /// Where everything is that it makes.
    files: PathBuf,
    image: Image,
    project: Option<Project>,
}

/// The services that are up.
struct Project {
    containers: Vec<Container>,
    // Its bridge goes after the containers.
    _network: Network,
}

impl StandIn {
    /// For the compose files of a directory.
    pub(super) fn new(directory: &Path) -> Result<Self> {
        let files = run_directory().join(format!("compose-{}", next_serial()));
        let image = Image::ours(&files.join("image"))?;
        Ok(Self { directory: directory.to_owned(), files, image, project: None })
    }

    fn image_of(&self, name: &str, service: &Service) -> Result<Image> {
        if service.image.as_deref() == Some("pg_auto_failover:citus") {
            return Ok(self.image.clone());
        }
        let Some(build) = &service.build else {
            bail!("service {name}: no image is called {:?}", service.image);
        };
        let dockerfile = self.directory.join(&build.context).join(&build.dockerfile);
        self.image.with(&dockerfile, &self.files.join("image").join(name))
    }

    /// A spec for each container of the file.
    fn specs(&self, serial: usize, file: &ComposeFile, up: &Up) -> Result<Vec<ContainerSpec>> {
        let mut specs = Vec::new();
        for (name, service) in &file.services {
            let count = up.scale.iter().find(|(scaled, _)| scaled == name).map_or(1, |(_, count)| *count);
            let image = self.image_of(name, service)?;
            for index in 1..=count {
                specs.push(ContainerSpec {
                    service: name.clone(),
                    index,
                    hostname: service.hostname.clone().unwrap_or_else(|| container_id(serial, name, index)),
                    image: image.clone(),
                    environment: service.environment(),
                    command: service.command()?.unwrap_or_else(|| image.command.clone()),
                    mounts: service
                        .mounts()?
                        .into_iter()
                        .map(|(volume, path)| (self.volume(&volume), path))
                        .collect(),
                });
            }
        }
        Ok(specs)
    }

    /// What outlives the containers.
    fn volume(&self, name: &str) -> PathBuf {
        self.files.join("volumes").join(name)
    }

    /// Joins the containers to a network, without starting them.
    fn make(&self, serial: usize, specs: Vec<ContainerSpec>) -> Result<Project> {
        let network = Network::with_subnet(serial, u8::try_from(serial % 256)?)?;
        let joined = (1..)
            .zip(specs)
            .map(|(number, spec)| {
                let link = network.join(&format!("{}-{}", spec.service, spec.index), number)?;
                Ok((spec, link))
            })
            .collect::<Result<Vec<_>>>()?;
        let names: Vec<String> = joined.iter().map(|(spec, link)| names(spec, link)).collect();
        let containers = joined
            .into_iter()
            .map(|(spec, link)| {
                let directory = self.files.join(format!("{serial}/{}-{}", spec.service, spec.index));
                // As Docker has it: a container finds its own name in the file, and asks for those of others.
                let own = format!("{} {}", link.address, spec.hostname);
                let hosts = format!("127.0.0.1 localhost\n{own}\n{}\n", names.join("\n"));
                Container::new(spec, link, directory, &hosts)
            })
            .collect::<Result<Vec<_>>>()?;
        Ok(Project { containers, _network: network })
    }
}

impl Compose for StandIn {
    fn describe(&self) -> String {
        "containers made of namespaces, because no Docker daemon answers".to_owned()
    }

    fn has_citus(&self) -> Result<bool> {
        Ok(Installed::find()?.share.join("extension/citus.control").exists())
    }

    fn postgres_major(&self) -> String {
        let in_path = self.image.path.split('/').find(|part| part.parse::<u32>().is_ok());
        in_path.unwrap_or_default().to_owned()
    }

    fn up(&mut self, up: &Up) -> Result<()> {
        let file = ComposeFile::read(&self.directory, &up.file)?;
        // Another network, and other containers, each time.
        let serial = next_serial();
        let mut project = self.make(serial, self.specs(serial, &file, up)?)?;
        let started = project.start(&file);
        // Kept in any case, for its logs.
        self.project = Some(project);
        started
    }

    fn exec(&mut self, exec: &Exec, input: &str) -> Result<Ended> {
        let project = self.project.as_ref().context("nothing is up")?;
        let is_it = |container: &&Container| {
            container.spec.service == exec.service && container.spec.index == exec.index
        };
        let container = project.containers.iter().find(is_it);
        let container = container.with_context(|| format!("no container {}-{}", exec.service, exec.index))?;
        container.exec(&exec.arguments, input)
    }

    fn down(&mut self) -> Result<()> {
        let Some(mut project) = self.project.take() else {
            bail!("nothing is up");
        };
        for container in &project.containers {
            container.ask_to_stop()?;
        }
        project.containers.iter_mut().try_for_each(Container::stop)
    }

    fn logs(&mut self) -> String {
        let containers = self.project.iter().flat_map(|project| &project.containers);
        containers.map(|container| container.last_lines(LOG_LINES)).collect()
    }
}

impl Drop for StandIn {
    fn drop(&mut self) {
        self.project = None;
        if !crate::harness::is_kept() {
            remove_directory(&self.files);
        }
    }
}

impl Project {
    /// Starts every container as soon as what it waits for is there.
    fn start(&mut self, file: &ComposeFile) -> Result<()> {
        let mut healthy: HashSet<String> = HashSet::new();
        wait_looking_every(LOOK_AGAIN_AFTER, "all services to be started", DEPENDENCY_DEADLINE, || {
            for number in 0..self.containers.len() {
                let name = self.containers[number].spec.service.clone();
                let service = &file.services[&name];
                if !self.containers[number].is_started() && self.may_start(service, &healthy) {
                    self.containers[number].start()?;
                }
            }
            for (name, service) in &file.services {
                if !healthy.contains(name) && self.is_healthy(name, service)? {
                    healthy.insert(name.clone());
                }
            }
            Ok(self.containers.iter().all(Container::is_started).then_some(()))
        })
    }

    fn may_start(&self, service: &Service, healthy: &HashSet<String>) -> bool {
        service.depends_on().all(|(name, condition)| match condition {
            Condition::ServiceStarted => self.of_service(name).all(Container::is_started),
            Condition::ServiceHealthy => healthy.contains(name),
        })
    }

    fn is_healthy(&self, name: &str, service: &Service) -> Result<bool> {
        let Some(test) = service.health_test()? else {
            return Ok(false);
        };
        let succeeds =
            |container: &Container| container.exec(&test, "").is_ok_and(|ended| ended.status.success());
        Ok(self.of_service(name).all(|container| container.is_started() && succeeds(container)))
    }

    fn of_service(&self, name: &str) -> impl Iterator<Item = &Container> {
        self.containers.iter().filter(move |container| container.spec.service == name)
    }
}

/// The line of a container in the others' /etc/hosts. An address is known by the name that Compose gives the container,
/// not by the host name: that is only how one looks for it.
fn names(spec: &ContainerSpec, link: &Link) -> String {
    let ContainerSpec { service, index, hostname, .. } = spec;
    format!("{} docker-{service}-{index}.docker_default {service} {hostname}", link.address)
}

/// Twelve hexadecimal digits, as containers have that were given no host name.
fn container_id(serial: usize, service: &str, index: usize) -> String {
    // FNV-1a: another name for each container.
    let text = format!("{serial}-{service}-{index}");
    let hash = text.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    // Spread over all digits.
    format!("{:012x}", hash.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 16)
}

fn next_serial() -> usize {
    static SERIAL: AtomicUsize = AtomicUsize::new(FIRST_SERIAL);
    SERIAL.fetch_add(1, Ordering::Relaxed)
}
