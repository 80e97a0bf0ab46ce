//! What the program says about itself to other programs and packagers: JSON Schemas of what goes in and out, shell
//! completions, manual pages. Everything is made from the types and the command line itself, so nothing can be stale.

use crate::assess::published::Published;
use crate::mention::schema::{Buried, Record};
use crate::notice::render::Envelope;
use anyhow::Context;
use clap_complete::Shell;
use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, SchemaGenerator};
use serde_json::Value;
use std::io::Write;
use std::path::PathBuf;

/// Options of `yuqing schema`.
#[derive(clap::Args, Debug)]
#[command(
    after_help = "Examples:\n  yuqing schema mention > mention.schema.json\n  yuqing schema openapi\n\nThe schemas also stand in pipelines/, as they were at the release."
)]
pub struct SchemaOptions {
    /// Which
    pub name: Name,
}

/// What there is a schema of.
#[derive(clap::ValueEnum, Clone, Copy, PartialEq, Eq, Debug)]
pub enum Name {
    /// A record that the door takes
    Mention,
    /// An assessed mention on the topic yuqing.assessed
    Assessed,
    /// A refused record on the topic of dead letters
    DeadLetter,
    /// Body of a webhook
    Alert,
    /// The OpenAPI document of /api/v1
    Openapi,
}

/// Options of `yuqing completions`.
#[derive(clap::Args, Debug)]
#[command(
    after_help = "Examples:\n  yuqing completions bash > /usr/share/bash-completion/completions/yuqing\n  yuqing completions zsh > /usr/share/zsh/site-functions/_yuqing\n  yuqing completions fish > ~/.config/fish/completions/yuqing.fish"
)]
pub struct CompletionsOptions {
    /// Shell
    pub shell: Shell,
}

/// Options of `yuqing man`.
#[derive(clap::Args, Debug)]
#[command(after_help = "Examples:\n  yuqing man | man -l -\n  yuqing man --dir /usr/share/man/man1")]
pub struct ManOptions {
    /// Writes one page a command into this folder instead
    #[arg(long, value_name = "DIR")]
    pub dir: Option<PathBuf>,
}

/// The document of a name.
pub fn schema(name: Name) -> Value {
    let (into, out) =
        (SchemaSettings::draft2020_12().for_deserialize(), SchemaSettings::draft2020_12().for_serialize());
    match name {
        Name::Mention => whole::<Record>(into),
        Name::Assessed => whole::<Published>(out),
        Name::DeadLetter => whole::<Buried>(out),
        Name::Alert => whole::<Envelope<'_>>(out),
        Name::Openapi => crate::web::openapi::document(),
    }
}

fn whole<T: JsonSchema>(settings: SchemaSettings) -> Value {
    let mut schema = SchemaGenerator::new(settings).into_root_schema_for::<T>();
    crate::web::openapi::plain(&mut schema);
    schema.to_value()
}

/// `yuqing schema NAME`; exit code 0.
pub fn print_schema(options: &SchemaOptions) -> anyhow::Result<u8> {
    let mut text = serde_json::to_string_pretty(&schema(options.name))?;
    text.push('\n');
    print(text.as_bytes())
}

/// `yuqing completions SHELL`; exit code 0.
pub fn print_completions(options: &CompletionsOptions, command: &mut clap::Command) -> anyhow::Result<u8> {
    let mut text = Vec::new();
    clap_complete::generate(options.shell, command, "yuqing", &mut text);
    print(&text)
}

/// `yuqing man`; exit code 0.
pub fn print_man(options: &ManOptions, command: clap::Command) -> anyhow::Result<u8> {
    if let Some(dir) = &options.dir {
        std::fs::create_dir_all(dir).with_context(|| format!("cannot make {}", dir.display()))?;
        clap_mangen::generate_to(command, dir).with_context(|| format!("cannot write into {}", dir.display()))?;
        return Ok(0);
    }
    let mut page = Vec::new();
    clap_mangen::Man::new(command).render(&mut page)?;
    print(&page)
}

/// A reader that went away (`| head`) is no fault.
fn print(text: &[u8]) -> anyhow::Result<u8> {
    match std::io::stdout().lock().write_all(text) {
        Err(fault) if fault.kind() != std::io::ErrorKind::BrokenPipe => Err(fault.into()),
        _ => Ok(0),
    }
}
