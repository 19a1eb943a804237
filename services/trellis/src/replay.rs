//! Buys what the invoices of the "Online Retail" data set bought, as its customers.
//!
//! Everything goes through the public API. A replay can be repeated: accounts are
//! found again, and each purchase has the same request id every time, so that it is
//! answered again and not made again.

mod acknowledged;
mod customer;
mod lane;
mod plan;
mod progress;
mod report;

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tonic::Code;
use trellis_api::shop::v1 as pb;

use self::acknowledged::Acknowledged;
use self::lane::Lane;
use self::plan::Account;
use self::progress::Progress;
use self::report::Report;
use crate::cli::Replay;
use crate::commands::say;
use crate::retail::{self, Invoice, Kind, Retail};
use crate::session::{Shop, explain, finish, persist, request};
use crate::statistics::{Statistics, grouped};

const SIGN_UP: &str = "sign-up";
const SIGN_IN: &str = "sign-in";
const CHECKOUT: &str = "checkout";
const WATCH: &str = "watch";
const CANCEL: &str = "cancel";

/// How many invoices may wait for a lane; more of them make the others wait, too.
const LANE_CAPACITY: usize = 256;

/// What a shell expects of a program that ended by Ctrl-C.
const INTERRUPTED: u8 = 130;

/// Replays a file to its end.
pub(crate) async fn run(args: Replay) -> anyhow::Result<ExitCode> {
    let csv = args.csv.clone();
    let retail = tokio::task::spawn_blocking(move || retail::read(csv.as_deref()))
        .await
        .context("the reader failed")??;
    let Retail { mut invoices, not_invoiced, .. } = retail;
    if 0 < not_invoiced.total() {
        say(&format!("{}\n", not_invoiced.table()));
    }
    invoices.truncate(args.limit.unwrap_or(usize::MAX));
    anyhow::ensure!(!invoices.is_empty(), "there are no invoices to replay");

    let statistics = Arc::new(Statistics::new(&[SIGN_UP, SIGN_IN, CHECKOUT, WATCH, CANCEL]));
    let patience = Duration::from_secs(args.patience);
    let lanes = usize::from(args.concurrency);
    let shops = Shop::connect(&args.shop.endpoint, lanes, patience, &statistics)?;
    look_around(&shops[0], &invoices, &args).await?;

    let total = invoices.len();
    say(&format!("replaying {} invoices in {lanes} lanes", grouped(total as u64)));
    let start = Instant::now();
    let report = Arc::new(Report::default());
    let interrupted = replay(invoices, &args, &shops, &report).await?;
    report.print(start.elapsed(), total, &statistics);
    Ok(match (interrupted, report.failed()) {
        (true, _) => ExitCode::from(INTERRUPTED),
        (false, 0) => ExitCode::SUCCESS,
        (false, _) => ExitCode::FAILURE,
    })
}

/// Makes sure that somebody answers, and sells what the customers want.
async fn look_around(shop: &Shop, invoices: &[Invoice], args: &Replay) -> anyhow::Result<()> {
    let sale = invoices.iter().find(|invoice| invoice.kind == Kind::Sale);
    let Some(line) = sale.and_then(|invoice| invoice.lines.first()) else { return Ok(()) };
    let wanted = pb::GetProductRequest { sku: line.sku.to_string(), ..Default::default() };
    let mut told = false;
    let answer = persist(
        shop.patience(),
        |_| {
            if !std::mem::replace(&mut told, true) {
                let (endpoint, patience) = (&args.shop.endpoint, args.patience);
                say(&format!("waiting up to {patience} s for a shop that answers at {endpoint}"));
            }
        },
        || {
            let (mut client, request) = (shop.client(), request(wanted.clone(), None));
            async move { client.get_product(request).await }
        },
    );
    match answer.await {
        Ok(_) => Ok(()),
        Err(status) if status.code() == Code::NotFound => {
            let csv = args.csv.as_deref().map(|path| format!(" {}", path.display()));
            anyhow::bail!(
                "the shop does not sell {}: fill its catalogue first with `trellis import{}`",
                line.sku,
                csv.unwrap_or_default(),
            )
        }
        Err(status) => Err(explain(&status)),
    }
}

/// Says whether Ctrl-C ended it.
async fn replay(
    invoices: Vec<Invoice>,
    args: &Replay,
    shops: &[Shop],
    report: &Arc<Report>,
) -> anyhow::Result<bool> {
    let acknowledged = match &args.acknowledged {
        Some(path) => Acknowledged::open(path)?,
        None => Acknowledged::nowhere(),
    };
    let acknowledged = Arc::new(acknowledged);
    let progress = Progress::start(invoices.len())?;
    let stop = CancellationToken::new();
    let mut tasks = JoinSet::new();
    let mut lanes = Vec::with_capacity(args.concurrency.into());
    for (index, shop) in (0..args.concurrency).zip(shops.iter().cycle()) {
        let (sender, receiver) = mpsc::channel(LANE_CAPACITY);
        lanes.push(sender);
        tracing::debug!(lane = index, "opened");
        let lane = Lane::new(shop.clone(), args.cards, Arc::clone(&acknowledged));
        let (report, progress) = (Arc::clone(report), progress.clone());
        tasks.spawn(lane.run(receiver, report, progress, stop.clone()));
    }
    tasks.spawn(dispatch(invoices, lanes, args.rate, stop.clone()));

    let watch = progress.clone();
    let interrupted = tokio::select! {
        interrupted = finish(&mut tasks, &stop) => interrupted,
        never = watch.log() => match never {},
    };
    progress.finish();
    interrupted
}

/// Hands out the invoices in their order. All of one account go to one lane, so that
/// nobody gives back what they have not bought yet.
async fn dispatch(
    invoices: Vec<Invoice>,
    lanes: Vec<mpsc::Sender<Invoice>>,
    rate: Option<f64>,
    stop: CancellationToken,
) -> anyhow::Result<()> {
    let mut pace = rate.map(|rate| tokio::time::interval(Duration::from_secs_f64(rate.recip())));
    for invoice in invoices {
        let hand_out = async {
            if let Some(pace) = &mut pace {
                pace.tick().await;
            }
            let lane = Account::of(&invoice).lane(lanes.len());
            lanes[lane].send(invoice).await
        };
        tokio::select! {
            () = stop.cancelled() => break,
            // A lane that is gone has failed, and its error is on its way.
            sent = hand_out => if sent.is_err() { break },
        }
    }
    Ok(())
}
