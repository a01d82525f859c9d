//! The tour: each thing that a mesh does with traffic, done to a mesh that runs, and told in numbers.

mod endpoints;
mod fault;
mod guide;
mod outside;
mod protection;
mod release;
mod routing;

use anyhow::{Result, ensure};

use crate::demo::{Options, door::Door, screen::say, stage::Stage, tour::guide::Guide};

/// A scenario of the tour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Scene {
    RoundRobin,
    BlueGreen,
    Canary(&'static release::Canary),
    AuthCanary,
    Device,
    User,
    Path,
    Method,
    Redirect,
    Rewrite,
    ConsistentHash,
    Mirror,
    Delay,
    Abort(u8),
    Timeout,
    Retries,
    CircuitBreaker,
    OutlierDetection,
    OutsideHost,
    RegistryOnly,
    Misprint,
    ComeAndGo,
    EditsUnderLoad,
    Restart,
}

const SCENES: [Scene; 28] = [
    Scene::RoundRobin,
    Scene::BlueGreen,
    Scene::Canary(&release::CANARY_95_5),
    Scene::Canary(&release::CANARY_90_10),
    Scene::Canary(&release::CANARY_50_50),
    Scene::Canary(&release::CANARY_100),
    Scene::AuthCanary,
    Scene::Device,
    Scene::User,
    Scene::Path,
    Scene::Method,
    Scene::Redirect,
    Scene::Rewrite,
    Scene::ConsistentHash,
    Scene::Mirror,
    Scene::Delay,
    Scene::Abort(100),
    Scene::Abort(50),
    Scene::Timeout,
    Scene::Retries,
    Scene::CircuitBreaker,
    Scene::OutlierDetection,
    Scene::OutsideHost,
    Scene::RegistryOnly,
    Scene::Misprint,
    Scene::ComeAndGo,
    Scene::EditsUnderLoad,
    Scene::Restart,
];

impl Scene {
    /// What it shows.
    fn title(self) -> String {
        match self {
            Self::RoundRobin => "round robin over three versions".to_owned(),
            Self::BlueGreen => "blue-green: one edit moves all requests, its removal none".to_owned(),
            Self::Canary(canary) => format!("canary {}", canary.title),
            Self::AuthCanary => "canary 90/10 of a service named in full".to_owned(),
            Self::Device => "iPhones to the test version, Androids to the stable one".to_owned(),
            Self::User => "one user to another version".to_owned(),
            Self::Path => "a path to another version".to_owned(),
            Self::Method => "writing to another version than reading".to_owned(),
            Self::Redirect => "redirect".to_owned(),
            Self::Rewrite => "rewrite of the path".to_owned(),
            Self::ConsistentHash => "consistent hash: users stay where they are".to_owned(),
            Self::Mirror => "mirror: a copy of each request".to_owned(),
            Self::Delay => "fault: ratings 2 s late".to_owned(),
            Self::Abort(percent) => format!("fault: {percent} % of the calls to ratings fail"),
            Self::Timeout => "timeout of 0.5 s".to_owned(),
            Self::Retries => "retries".to_owned(),
            Self::CircuitBreaker => "circuit breaker".to_owned(),
            Self::OutlierDetection => "outlier detection".to_owned(),
            Self::OutsideHost => "a host outside the mesh".to_owned(),
            Self::RegistryOnly => "only known hosts".to_owned(),
            Self::Misprint => "files with misprints change nothing".to_owned(),
            Self::ComeAndGo => "endpoints come and go under load".to_owned(),
            Self::EditsUnderLoad => "routes are edited under load".to_owned(),
            Self::Restart => "the control plane is killed and restarted under load".to_owned(),
        }
    }

    /// Plays it; returns what happened, in numbers.
    async fn play(self, guide: &mut Guide<'_>) -> Result<String> {
        match self {
            Self::RoundRobin => release::round_robin(guide).await,
            Self::BlueGreen => release::blue_green(guide).await,
            Self::Canary(canary) => release::canary(guide, canary).await,
            Self::AuthCanary => release::auth_canary(guide).await,
            Self::Device => routing::by_device(guide).await,
            Self::User => routing::by_user(guide).await,
            Self::Path => routing::by_path(guide).await,
            Self::Method => routing::by_method(guide).await,
            Self::Redirect => routing::redirect(guide).await,
            Self::Rewrite => routing::rewrite(guide).await,
            Self::ConsistentHash => routing::consistent_hash(guide).await,
            Self::Mirror => routing::mirror(guide).await,
            Self::Delay => fault::delay(guide).await,
            Self::Abort(percent) => fault::abort(guide, percent).await,
            Self::Timeout => fault::timeout(guide).await,
            Self::Retries => protection::retries(guide).await,
            Self::CircuitBreaker => protection::circuit_breaker(guide).await,
            Self::OutlierDetection => protection::outlier_detection(guide).await,
            Self::OutsideHost => outside::host(guide).await,
            Self::RegistryOnly => outside::registry_only(guide).await,
            Self::Misprint => outside::misprint(guide).await,
            Self::ComeAndGo => endpoints::come_and_go(guide).await,
            Self::EditsUnderLoad => endpoints::edits_under_load(guide).await,
            Self::Restart => endpoints::restart(guide).await,
        }
    }
}

/// Plays every scene on one mesh and sums up.
///
/// # Errors
/// The mesh does not start, or a scene did not do what it says.
pub async fn run(options: &Options) -> Result<()> {
    say("starting the control plane, six applications and six Envoys …")?;
    let mut stage = Stage::start().await?;
    let door = Door::open(options.page, stage.page()).await?;
    say(&format!("page   http://{}/productpage", door.address()))?;
    say(&format!("files  {}\n", stage.config().path().display()))?;
    let mut failed = Vec::new();
    for (number, scene) in (1..).zip(SCENES) {
        say(&format!("{number:>2}/{}  {}", SCENES.len(), scene.title()))?;
        let mut guide = Guide::new(&mut stage, door.address(), options.requests);
        // Boxed, as all scenes in one future are large.
        let outcome = Box::pin(scene.play(&mut guide)).await;
        let undone = guide.undo().await;
        guide.applied().iter().try_for_each(|file| say(&format!("       {file}")))?;
        match outcome.and_then(|numbers| undone.map(|()| numbers)) {
            Ok(numbers) => say(&format!("       ok: {numbers}"))?,
            Err(error) => {
                say(&format!("       NOT AS IT SHOULD BE: {error:#}"))?;
                failed.push(scene.title());
            }
        }
        stage.check_alive()?;
    }
    let (taken, refused) = stage.updates().await?;
    let as_should_be = SCENES.len() - failed.len();
    say(&format!(
        "\n{as_should_be} of {} scenarios as they should be; the Envoys took {taken} updates and refused {refused}",
        SCENES.len()
    ))?;
    ensure!(failed.is_empty(), "not as they should be: {}\n{}", failed.join("; "), stage.report());
    ensure!(refused == 0, "Envoys refused {refused} updates\n{}", stage.report());
    Ok(())
}
