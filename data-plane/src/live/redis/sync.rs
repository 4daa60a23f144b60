//! The one task that talks to Redis.
//!
//! It writes what this node did, reads what others did, and asks Redis every second whether it is there. An error or
//! a missing answer is the degraded mode; the first answer after that begins a resync: this node's marks go in, all
//! accounts are read, and the mode ends.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use fred::{
    clients::{Client, SubscriberClient, WithOptions},
    interfaces::{ClientLike, EventInterface, HashesInterface, KeysInterface, PubsubInterface},
    types::{
        Builder, ClusterHash, CustomCommand, Expiration, Message, SetOptions,
        config::{Config, Options, ReconnectPolicy},
        scripts::Script,
    },
};
use futures_util::future::try_join_all;
use shared::{clock::Millis, id::AccountId};
use tokio::{
    sync::broadcast::{Receiver, error::RecvError},
    time::MissedTickBehavior,
};
use tokio_util::sync::CancellationToken;

use super::{
    Binding, BoundId, RedisSettings, Shared, Write,
    marks::{self, CHANNEL, MARK},
};
use crate::live::{
    binding::KEPT,
    memos::{self, MemoId},
};

/// Accounts read at the same time.
const READ_TOGETHER: usize = 256;
/// Memos written before anything else has its turn.
const MEMOS_AT_ONCE: usize = 64;
const RECONNECT_MIN_MS: u32 = 100;
const RECONNECT_MAX_MS: u32 = 2_000;
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);

type Result<T> = std::result::Result<T, fred::error::Error>;

/// One connection for commands, one that listens.
#[derive(Debug)]
pub(super) struct Connections {
    commands: Client,
    messages: SubscriberClient,
    options: Options,
    mark: Script,
}

impl Connections {
    pub(super) fn new(settings: &RedisSettings) -> Result<Self> {
        let mut config = Config::from_url(settings.url.expose())?;
        // A Redis that is away when the node starts is like one that goes away later.
        config.fail_fast = false;
        let mut builder = Builder::from_config(config);
        builder
            .set_policy(ReconnectPolicy::new_exponential(0, RECONNECT_MIN_MS, RECONNECT_MAX_MS, 2))
            .with_performance_config(|performance| {
                performance.default_command_timeout = settings.command_timeout;
                performance.broadcast_channel_capacity = 4096;
            })
            .with_connection_config(|connection| {
                connection.connection_timeout = CONNECT_TIMEOUT;
                connection.internal_command_timeout = CONNECT_TIMEOUT;
                connection.max_command_attempts = 1;
                connection.unresponsive.max_timeout = Some(CONNECT_TIMEOUT);
                connection.unresponsive.interval = CONNECT_TIMEOUT / 4;
            });
        Ok(Self {
            commands: builder.build()?,
            messages: builder.build_subscriber_client()?,
            options: Options {
                fail_fast: true,
                timeout: Some(settings.command_timeout),
                max_attempts: Some(1),
                ..Options::default()
            },
            mark: Script::from_lua(MARK),
        })
    }

    pub(super) fn lookup(&self) -> Lookup {
        Lookup(self.commands())
    }

    async fn tell(&self, id: BoundId, binding: Binding) -> Result<()> {
        let expiry = Expiration::EX(i64::try_from(KEPT.as_secs()).unwrap_or(i64::MAX));
        // The first binding holds, whichever node made it.
        self.commands().set(id.key(), binding.written(), Some(expiry), Some(SetOptions::NX), false).await
    }

    async fn remember(&self, id: MemoId, sealed: String) -> Result<()> {
        let expiry = Expiration::EX(i64::try_from(memos::KEPT.as_secs()).unwrap_or(i64::MAX));
        self.commands().set(id.key(), sealed, Some(expiry), Some(SetOptions::NX), false).await
    }

    fn commands(&self) -> WithOptions<Client> {
        self.commands.with_options(&self.options)
    }

    async fn ping(&self) -> Result<()> {
        self.commands().ping(None).await
    }

    async fn write(&self, write: &Write, now: Millis) -> Result<()> {
        let (key, account) = (marks::key(write.account), write.account.to_string());
        if write.clears > 0 {
            let () = self.commands().del(&key).await?;
            if write.marks.is_empty() {
                return self.commands().publish(CHANNEL, account).await;
            }
        }
        let mut arguments = vec![CHANNEL.to_owned(), account];
        arguments.extend(write.marks.iter().flat_map(|mark| marks::arguments(mark, now)));
        self.mark.evalsha_with_reload(&self.commands, key, arguments).await
    }

    async fn now(&self) -> Result<Millis> {
        let time = CustomCommand::new_static("TIME", ClusterHash::Random, false);
        let (seconds, micros): (i64, i64) = self.commands().custom(time, Vec::<String>::new()).await?;
        Ok(Millis(seconds.saturating_mul(1000).saturating_add(micros / 1000)))
    }
}

/// Asks for one value, on the task's connection.
pub(super) struct Lookup(WithOptions<Client>);

impl std::fmt::Debug for Lookup {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Lookup")
    }
}

impl Lookup {
    /// None: there is none, or no answer in time.
    pub(super) async fn get(&self, key: String) -> Option<String> {
        self.0.get(key).await.unwrap_or_else(|error| {
            tracing::debug!(%error, "Redis does not say what is asked of it");
            None
        })
    }
}

/// The task's state.
#[derive(Debug)]
pub(super) struct Sync {
    shared: Arc<Shared>,
    redis: Connections,
    settings: RedisSettings,
}

/// Why the task wakes.
enum Wake {
    Watchdog,
    Reread,
    Dirty,
    Reconnected,
    Changed(BTreeSet<AccountId>),
    Stop,
}

impl Sync {
    pub(super) fn new(shared: Arc<Shared>, redis: Connections, settings: RedisSettings) -> Self {
        Self { shared, redis, settings }
    }

    pub(super) async fn run(self, stopping: CancellationToken) {
        let mut messages = self.redis.messages.message_rx();
        let mut commands_back = self.redis.commands.reconnect_rx();
        let mut messages_back = self.redis.messages.reconnect_rx();
        self.redis.commands.connect();
        self.redis.messages.connect();
        self.redis.messages.manage_subscriptions();
        let mut watchdog = every(self.settings.watchdog);
        let mut reread = every(self.settings.reread);
        let mut subscribed = false;
        loop {
            let wake = tokio::select! {
                () = stopping.cancelled() => Wake::Stop,
                message = messages.recv() => changed(message, &mut messages),
                _ = commands_back.recv() => Wake::Reconnected,
                _ = messages_back.recv() => Wake::Reconnected,
                () = self.shared.dirty.notified() => Wake::Dirty,
                () = self.shared.reread.notified() => Wake::Reread,
                _ = reread.tick() => Wake::Reread,
                _ = watchdog.tick() => Wake::Watchdog,
            };
            if matches!(wake, Wake::Stop) {
                break;
            }
            let Some(done) = stopping.run_until_cancelled(self.wake(wake, &mut subscribed)).await else {
                break;
            };
            if let Err(error) = &done {
                tracing::debug!(%error, "Redis does not answer");
            }
            self.shared.set_degraded(done.is_err());
        }
        self.quit().await;
    }

    async fn wake(&self, wake: Wake, subscribed: &mut bool) -> Result<()> {
        if !*subscribed {
            // From then on the client subscribes again by itself after each reconnect.
            within(self.settings.command_timeout, self.redis.messages.subscribe(CHANNEL)).await?;
            *subscribed = true;
            return self.resync().await;
        }
        let degraded = self.shared.degraded.load(std::sync::atomic::Ordering::Relaxed);
        match wake {
            Wake::Reconnected => self.resync().await,
            _ if degraded => self.resync().await,
            Wake::Watchdog => self.redis.ping().await,
            Wake::Dirty => self.write(false).await,
            Wake::Reread => self.read(self.shared.accounts()).await,
            Wake::Changed(accounts) => self.read(accounts).await,
            Wake::Stop => Ok(()),
        }
    }

    async fn resync(&self) -> Result<()> {
        self.redis.ping().await?;
        self.write(true).await?;
        self.read(self.shared.accounts()).await
    }

    async fn write(&self, everything: bool) -> Result<()> {
        for write in self.shared.to_write(everything) {
            self.redis.write(&write, self.shared.now()).await?;
            self.shared.written(&write);
        }
        while let Some((id, binding)) = self.shared.bindings.to_tell() {
            self.redis.tell(id, binding).await?;
            self.shared.bindings.told(id);
        }
        self.tell_memos().await;
        Ok(())
    }

    /// A few at a time, and what Redis does not take is forgotten there: a convenience must not keep marks from anybody.
    async fn tell_memos(&self) {
        for _ in 0..MEMOS_AT_ONCE {
            let Some((id, sealed)) = self.shared.memos.to_tell(self.shared.now()) else { return };
            self.shared.memos.told(id);
            if let Err(error) = self.redis.remember(id, sealed).await {
                tracing::debug!(%error, "Redis does not take what is to be remembered");
                return;
            }
        }
        // The rest comes after what else there is to do.
        self.shared.dirty.notify_one();
    }

    async fn read(&self, accounts: BTreeSet<AccountId>) -> Result<()> {
        if accounts.is_empty() {
            return Ok(());
        }
        let (redis_now, now) = (self.redis.now().await?, self.shared.now());
        let accounts: Vec<_> = accounts.into_iter().collect();
        for accounts in accounts.chunks(READ_TOGETHER) {
            let commands = self.redis.commands();
            let hashes =
                try_join_all(accounts.iter().map(|account| commands.hgetall(marks::key(*account)))).await?;
            for (account, hash) in accounts.iter().zip(hashes) {
                self.shared.apply(*account, marks::parse(hash, redis_now, now));
            }
        }
        Ok(())
    }

    async fn quit(self) {
        let limit = self.settings.command_timeout;
        _ = tokio::join!(
            within(limit, self.redis.messages.quit()),
            within(limit, self.redis.commands.quit())
        );
    }
}

fn every(period: Duration) -> tokio::time::Interval {
    let mut interval = tokio::time::interval(period);
    interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
    interval
}

async fn within<T>(limit: Duration, work: impl Future<Output = Result<T>>) -> Result<T> {
    tokio::time::timeout(limit, work).await.unwrap_or_else(|_| {
        Err(fred::error::Error::new(fred::error::ErrorKind::Timeout, "no answer in time"))
    })
}

/// The accounts of this message and of all that wait behind it.
fn changed(message: std::result::Result<Message, RecvError>, messages: &mut Receiver<Message>) -> Wake {
    let mut accounts = BTreeSet::new();
    let mut message = match message {
        Ok(message) => Some(message),
        // Some were missed: read everything.
        Err(_) => return Wake::Reread,
    };
    while let Some(received) = message {
        accounts.extend(received.value.as_str().and_then(|text| text.parse::<AccountId>().ok()));
        message = messages.try_recv().ok();
    }
    Wake::Changed(accounts)
}
