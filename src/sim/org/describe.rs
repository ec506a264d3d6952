//! What describe calls say of objects and fields.

use serde_json::{Value, json};

use super::{
    Org, flag,
    schema::{self, Access, Field, Kind, Object},
    value::spaced,
};

/// What no field of the org is.
const NEVER: [&str; 9] = [
    "calculated",
    "cascadeDelete",
    "dependentPicklist",
    "deprecatedAndHidden",
    "encrypted",
    "htmlFormatted",
    "queryByDistance",
    "restrictedDelete",
    "writeRequiresMasterRead",
];

/// What no field of the org has.
const NOTHING: [&str; 6] = [
    "calculatedFormula",
    "compoundFieldName",
    "controllerName",
    "defaultValueFormula",
    "extraTypeInfo",
    "inlineHelpText",
];

/// The short form of an object, as the global describe lists it.
pub(crate) fn brief(object: &Object, base: &str) -> Value {
    let name = &object.name;
    let is_data = is_searchable(name) || name == "Group";
    json!({
        "name": name, "label": spaced(name), "labelPlural": schema::plural(&spaced(name)),
        "keyPrefix": object.prefix, "custom": name.ends_with("__c"), "customSetting": false,
        "activateable": false, "createable": is_data, "deletable": is_data && name != "User", "deprecatedAndHidden": false,
        "feedEnabled": false, "layoutable": true, "mergeable": matches!(name.as_str(), "Account" | "Contact" | "Lead"),
        "mruEnabled": true, "associateEntityType": null, "associateParentEntity": null, "hasSubtypes": false,
        "isInterface": false, "isSubtype": false,
        "queryable": true, "replicateable": true, "retrieveable": true,
        "searchable": is_searchable(name), "triggerable": is_data, "undeletable": is_data && name != "User",
        "updateable": is_data || name == "Organization",
        "urls": {
            "sobject": format!("{base}/sobjects/{name}"),
            "describe": format!("{base}/sobjects/{name}/describe"),
            "rowTemplate": format!("{base}/sobjects/{name}/{{ID}}"),
        },
    })
}

/// The full describe of an object; `statuses` are the org's task statuses.
pub(crate) fn full(org: &Org, object: &Object, base: &str) -> Value {
    let statuses = org.rows("TaskStatus").filter_map(|row| {
        let name = row.fields.get("ApiName")?.as_str()?.to_owned();
        Some((name, flag(&row.fields, "IsDefault")))
    });
    let statuses: Vec<(String, bool)> = statuses.collect();
    let fields = object.fields.iter().map(|field| {
        let is_status = object.name == "Task" && field.name == "Status";
        describe_field(field, is_status.then_some(statuses.as_slice()))
    });
    let fields: Vec<Value> = fields.collect();
    let mut described = brief(object, base);
    if let Some(map) = described.as_object_mut() {
        map.insert("fields".to_owned(), fields.into());
        map.insert("childRelationships".to_owned(), children(org, object).into());
        map.insert("recordTypeInfos".to_owned(), json!([master(object, base)]));
        for empty in ["actionOverrides", "namedLayoutInfos", "supportedScopes"] {
            map.insert(empty.to_owned(), json!([]));
        }
    }
    described
}

/// The fields of other objects that point at this one, with the names of those relations that have one.
fn children(org: &Org, object: &Object) -> Vec<Value> {
    let named: Vec<schema::Child> = schema::children(org.objects(), object).collect();
    let name = |child: &str, field: &str| {
        let same = named.iter().find(|known| known.object.name == child && known.field.name == field);
        same.map(|known| known.relation.clone())
    };
    let fields = org.objects().flat_map(|child| child.fields.iter().map(move |field| (child, field)));
    let pointing =
        fields.filter(|(_, field)| matches!(&field.kind, Kind::Ref { targets, .. } if targets.contains(&object.name)));
    let shown = pointing.map(|(child, field)| {
        json!({
            "childSObject": child.name, "field": field.name, "cascadeDelete": false, "deprecatedAndHidden": false,
            "junctionIdListNames": [], "junctionReferenceTo": [],
            "relationshipName": name(&child.name, &field.name), "restrictedDelete": false,
        })
    });
    shown.collect()
}

/// The record type that every object has.
fn master(object: &Object, base: &str) -> Value {
    json!({
        "active": true, "available": true, "defaultRecordTypeMapping": true, "developerName": "Master", "master": true,
        "name": "Master", "recordTypeId": "012000000000000AAA",
        "urls": {"layout": format!("{base}/sobjects/{}/describe/layouts/012000000000000AAA", object.name)},
    })
}

/// Whether searches look at an object.
pub(crate) fn is_searchable(object: &str) -> bool {
    !matches!(object, "Organization" | "TaskStatus" | "UserRecordAccess" | "CallCenter" | "Group")
}

fn describe_field(field: &Field, statuses: Option<&[(String, bool)]>) -> Value {
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
    let filterable = !matches!(field.kind, Kind::Area(_));
    let facts = json!({
        "name": name, "label": spaced(name), "type": type_name(&field.kind), "soapType": soap_type(&field.kind),
        "length": field.kind.length().unwrap_or(0), "byteLength": field.kind.length().unwrap_or(0) * 3,
        "digits": if field.kind == Kind::Int { 8 } else { 0 }, "precision": 0, "scale": 0,
        "createable": editable || field.access == Access::Once, "updateable": editable,
        "nillable": !matches!(field.kind, Kind::Bool | Kind::Id) && field.access != Access::Required,
        "defaultedOnCreate": matches!(field.kind, Kind::Bool | Kind::Id), "custom": name.ends_with("__c"),
        "externalId": external, "unique": unique, "caseSensitive": external, "idLookup": external || name == "Id",
        "filterable": filterable, "sortable": filterable, "groupable": filterable, "aggregatable": true,
        "nameField": name == "Name", "namePointing": targets.len() > 1, "polymorphicForeignKey": targets.len() > 1,
        "referenceTo": targets, "relationshipName": relation, "picklistValues": picklist(&field.kind, statuses),
        "restrictedPicklist": matches!(field.kind, Kind::Pick { restricted: true, .. }),
        "defaultValue": if field.kind == Kind::Bool { Value::Bool(false) } else { Value::Null },
        "autoNumber": name == "CaseNumber", "permissionable": editable,
    });
    let mut described = facts.as_object().cloned().unwrap_or_default();
    described.extend(NEVER.map(|name| (name.to_owned(), false.into())));
    described.extend(NOTHING.map(|name| (name.to_owned(), Value::Null)));
    described.into()
}

fn picklist(kind: &Kind, statuses: Option<&[(String, bool)]>) -> Vec<Value> {
    let own = if let Kind::Pick { values, .. } = kind { values.as_slice() } else { &[] };
    let shown = |value: &str, default: bool| json!({"value": value, "label": value, "active": true, "defaultValue": default, "validFor": null});
    match statuses {
        Some(statuses) => statuses.iter().map(|(value, default)| shown(value, *default)).collect(),
        None => own.iter().map(|value| shown(value, false)).collect(),
    }
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
