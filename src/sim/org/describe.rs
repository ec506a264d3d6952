//! What describe calls say of objects and fields.

use serde_json::{Value, json};

use super::{
    Org,
    schema::{Access, Field, Kind, Object},
    value::spaced,
};

/// The short form of an object, as the global describe lists it.
pub(crate) fn brief(object: &Object, base: &str) -> Value {
    let name = &object.name;
    json!({
        "name": name, "label": spaced(name), "labelPlural": format!("{}s", spaced(name)),
        "keyPrefix": object.prefix, "custom": name.ends_with("__c"), "customSetting": false,
        "activateable": false, "createable": true, "deletable": true, "deprecatedAndHidden": false,
        "feedEnabled": false, "layoutable": true, "mergeable": false, "mruEnabled": true,
        "queryable": true, "replicateable": true, "retrieveable": true,
        "searchable": is_searchable(name), "triggerable": true, "undeletable": true, "updateable": true,
        "urls": {
            "sobject": format!("{base}/sobjects/{name}"),
            "describe": format!("{base}/sobjects/{name}/describe"),
            "rowTemplate": format!("{base}/sobjects/{name}/{{ID}}"),
        },
    })
}

/// The full describe of an object; `statuses` are the org's task statuses.
pub(crate) fn full(org: &Org, object: &Object, base: &str) -> Value {
    let statuses = org.rows("TaskStatus").filter_map(|row| row.fields.get("ApiName")?.as_str());
    let statuses: Vec<String> = statuses.map(str::to_owned).collect();
    let fields = object.fields.iter().map(|field| {
        let is_status = object.name == "Task" && field.name == "Status";
        describe_field(field, is_status.then_some(statuses.as_slice()))
    });
    let fields: Vec<Value> = fields.collect();
    let mut described = brief(object, base);
    if let Some(map) = described.as_object_mut() {
        map.insert("fields".to_owned(), fields.into());
        for empty in ["childRelationships", "recordTypeInfos", "actionOverrides", "namedLayoutInfos"] {
            map.insert(empty.to_owned(), json!([]));
        }
    }
    described
}

/// Whether searches look at an object.
pub(crate) fn is_searchable(object: &str) -> bool {
    !matches!(object, "Organization" | "TaskStatus" | "UserRecordAccess" | "CallCenter" | "Group")
}

fn describe_field(field: &Field, statuses: Option<&[String]>) -> Value {
    let name = &field.name;
    let editable = matches!(field.access, Access::Edit | Access::Required);
    let (targets, relation) = match &field.kind {
        Kind::Ref { targets, relation } => (targets.clone(), Value::from(relation.clone())),
        Kind::Id
        | Kind::Text(_)
        | Kind::Area(_)
        | Kind::Phone
        | Kind::Email
        | Kind::Url
        | Kind::Bool
        | Kind::Int
        | Kind::Double
        | Kind::Date
        | Kind::DateTime
        | Kind::Pick { .. }
        | Kind::External { .. } => (Vec::new(), Value::Null),
    };
    let unique = matches!(field.kind, Kind::External { unique: true, .. });
    let external = matches!(field.kind, Kind::External { .. });
    json!({
        "name": name, "label": spaced(name), "type": type_name(&field.kind), "soapType": soap_type(&field.kind),
        "length": field.kind.length().unwrap_or(0), "byteLength": field.kind.length().unwrap_or(0) * 3,
        "digits": if field.kind == Kind::Int { 8 } else { 0 }, "precision": 0, "scale": 0,
        "createable": editable || field.access == Access::Once, "updateable": editable,
        "nillable": !matches!(field.kind, Kind::Bool | Kind::Id) && field.access != Access::Required,
        "defaultedOnCreate": matches!(field.kind, Kind::Bool | Kind::Id), "calculated": false,
        "custom": name.ends_with("__c"), "externalId": external, "unique": unique, "caseSensitive": external,
        "idLookup": external || name == "Id", "filterable": !matches!(field.kind, Kind::Area(_)),
        "sortable": !matches!(field.kind, Kind::Area(_)), "groupable": !matches!(field.kind, Kind::Area(_)),
        "aggregatable": true, "nameField": name == "Name", "namePointing": targets.len() > 1,
        "referenceTo": targets, "relationshipName": relation,
        "restrictedPicklist": matches!(field.kind, Kind::Pick { restricted: true, .. }),
        "picklistValues": picklist(&field.kind, statuses), "inlineHelpText": null, "defaultValue": null,
        "deprecatedAndHidden": false, "encrypted": false, "permissionable": editable,
    })
}

fn picklist(kind: &Kind, statuses: Option<&[String]>) -> Vec<Value> {
    let own: &[String] = if let Kind::Pick { values, .. } = kind { values } else { &[] };
    let values = statuses.unwrap_or(own);
    let shown = values
        .iter()
        .map(|value| json!({"value": value, "label": value, "active": true, "defaultValue": false, "validFor": null}));
    shown.collect()
}

fn type_name(kind: &Kind) -> &'static str {
    match kind {
        Kind::Id => "id",
        Kind::Text(_) | Kind::External { .. } => "string",
        Kind::Area(_) => "textarea",
        Kind::Phone => "phone",
        Kind::Email => "email",
        Kind::Url => "url",
        Kind::Bool => "boolean",
        Kind::Int => "int",
        Kind::Double => "double",
        Kind::Date => "date",
        Kind::DateTime => "datetime",
        Kind::Pick { .. } => "picklist",
        Kind::Ref { .. } => "reference",
    }
}

fn soap_type(kind: &Kind) -> &'static str {
    match kind {
        Kind::Id | Kind::Ref { .. } => "tns:ID",
        Kind::Bool => "xsd:boolean",
        Kind::Int => "xsd:int",
        Kind::Double => "xsd:double",
        Kind::Date => "xsd:date",
        Kind::DateTime => "xsd:dateTime",
        Kind::Text(_)
        | Kind::External { .. }
        | Kind::Area(_)
        | Kind::Phone
        | Kind::Email
        | Kind::Url
        | Kind::Pick { .. } => "xsd:string",
    }
}
