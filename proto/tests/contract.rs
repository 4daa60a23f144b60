//! The contract may only grow: `contract.txt` holds one line for each released name, and none may change or vanish.

use std::{collections::BTreeSet, env, fs, path::Path};

use prost::Message as _;
use prost_types::{
    DescriptorProto, EnumDescriptorProto, FieldDescriptorProto, FileDescriptorSet, ServiceDescriptorProto,
    field_descriptor_proto::{Label, Type},
};

const UPDATE: &str = "SWITCHYARD_UPDATE_CONTRACT";

#[test]
fn the_contract_only_grows() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("contract.txt");
    let stored: BTreeSet<String> =
        fs::read_to_string(&path).unwrap_or_default().lines().map(Into::into).collect();
    let current = lines(&FileDescriptorSet::decode(proto::DESCRIPTOR).unwrap());

    let broken: Vec<_> = stored.difference(&current).collect();
    assert!(broken.is_empty(), "an older peer could not read this any more; add, don't change: {broken:#?}");
    let added: Vec<_> = current.difference(&stored).collect();
    if env::var_os(UPDATE).is_some() {
        fs::write(&path, current.iter().map(|line| format!("{line}\n")).collect::<String>()).unwrap();
        return;
    }
    assert!(
        added.is_empty(),
        "new in the contract; record it with {UPDATE}=1 cargo test -p proto: {added:#?}"
    );
}

fn lines(files: &FileDescriptorSet) -> BTreeSet<String> {
    let mut lines = BTreeSet::new();
    for file in files.file.iter().filter(|file| file.package().starts_with("switchyard.")) {
        for message in &file.message_type {
            message_lines(file.package(), message, &mut lines);
        }
        for item in &file.enum_type {
            enum_lines(file.package(), item, &mut lines);
        }
        for service in &file.service {
            service_lines(file.package(), service, &mut lines);
        }
    }
    lines
}

fn message_lines(scope: &str, message: &DescriptorProto, lines: &mut BTreeSet<String>) {
    let scope = format!("{scope}.{}", message.name());
    for field in &message.field {
        lines.insert(format!(
            "{scope}.{} = {}: {}",
            field.name(),
            field.number(),
            field_type(message, field)
        ));
    }
    for nested in &message.nested_type {
        message_lines(&scope, nested, lines);
    }
    for item in &message.enum_type {
        enum_lines(&scope, item, lines);
    }
    lines.insert(format!("message {scope}"));
}

fn field_type(message: &DescriptorProto, field: &FieldDescriptorProto) -> String {
    let presence = match (field.label(), field.proto3_optional(), field.oneof_index) {
        (Label::Repeated, ..) => "repeated ".to_owned(),
        (_, true, _) => "optional ".to_owned(),
        (_, false, Some(index)) => {
            let oneof = usize::try_from(index).ok().and_then(|index| message.oneof_decl.get(index));
            format!("oneof {} ", oneof.map(|oneof| oneof.name()).unwrap_or_default())
        }
        _ => String::new(),
    };
    let name = match field.r#type() {
        Type::Message | Type::Enum => field.type_name().trim_start_matches('.').to_owned(),
        scalar => scalar.as_str_name().trim_start_matches("TYPE_").to_lowercase(),
    };
    presence + &name
}

fn enum_lines(scope: &str, item: &EnumDescriptorProto, lines: &mut BTreeSet<String>) {
    for value in &item.value {
        lines.insert(format!("{scope}.{}.{} = {}", item.name(), value.name(), value.number()));
    }
}

fn service_lines(scope: &str, service: &ServiceDescriptorProto, lines: &mut BTreeSet<String>) {
    for method in &service.method {
        let stream = |streaming| if streaming { "stream " } else { "" };
        lines.insert(format!(
            "rpc {scope}.{}.{}({}{}) -> {}{}",
            service.name(),
            method.name(),
            stream(method.client_streaming()),
            method.input_type().trim_start_matches('.'),
            stream(method.server_streaming()),
            method.output_type().trim_start_matches('.'),
        ));
    }
}
