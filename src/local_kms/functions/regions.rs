//! DescribeRegions: where KMS is. It touches nothing.

use serde_json::Value;

use crate::kms::KmsError;

use super::super::execution::Execution;
use super::{Members, list, members};

/// The regions of KMS (KMS: "Supported regions").
const REGIONS: &[&str] = &[
    "cn-hangzhou",
    "cn-shanghai",
    "cn-shenzhen",
    "cn-heyuan",
    "cn-guangzhou",
    "cn-qingdao",
    "cn-beijing",
    "cn-zhangjiakou",
    "cn-huhehaote",
    "cn-wulanchabu",
    "cn-chengdu",
    "cn-hongkong",
    "ap-southeast-1",
    "ap-southeast-3",
    "ap-southeast-5",
    "ap-southeast-6",
    "ap-southeast-7",
    "ap-northeast-1",
    "ap-northeast-2",
    "us-east-1",
    "us-west-1",
    "eu-central-1",
    "eu-west-1",
    "me-east-1",
    "me-central-1",
    "cn-hangzhou-finance",
    "cn-shanghai-finance-1",
    "cn-shenzhen-finance-1",
    "cn-beijing-finance-1",
];

/// `DescribeRegions`. The region that is served here is always among them.
pub fn describe_regions(execution: &Execution<'_>) -> Result<Members, KmsError> {
    let here: &str = &execution.kms.region;
    let unlisted = (!REGIONS.contains(&here)).then_some(here);
    let region = |id: &str| Value::from(members([("RegionId", id.into())]));
    let regions = REGIONS.iter().copied().chain(unlisted).map(region).collect();
    Ok(members([("Regions", list("Region", regions))]))
}
