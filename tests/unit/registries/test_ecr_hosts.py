"""The many hosts of one ECR repository, in every partition of AWS."""

import botocore.session
import pytest

from deployer.errors import InvalidReferenceError
from deployer.model.image import EcrRegistry, Image, ecr_host

ACCOUNT = "012345678901"
ECR = f"{ACCOUNT}.dkr.ecr.eu-central-1.amazonaws.com"

# region: (usual suffix, dual-stack suffix)
REGIONS = {
    "eu-central-1": ("amazonaws.com", "on.aws"),
    "us-gov-west-1": ("amazonaws.com", "on.aws"),
    "cn-north-1": ("amazonaws.com.cn", "on.amazonwebservices.com.cn"),
    "eusc-de-east-1": ("amazonaws.eu", "on.amazonwebservices.eu"),
    "us-iso-east-1": ("c2s.ic.gov", "on.aws.ic.gov"),
    "us-isob-east-1": ("sc2s.sgov.gov", "on.aws.scloud"),
    "us-isof-south-1": ("csp.hci.ic.gov", "on.aws.hci.ic.gov"),
    "eu-isoe-west-1": ("cloud.adc-e.uk", "on.cloud-aws.adc-e.uk"),
}


@pytest.mark.parametrize("region", REGIONS)
def test_every_host_of_a_region_names_one_repository(region):
    usual, dual = REGIONS[region]
    forms = {
        f"{ACCOUNT}.dkr.ecr.{region}.{usual}": EcrRegistry(ACCOUNT, region),
        f"{ACCOUNT}.dkr.ecr-fips.{region}.{usual}": EcrRegistry(ACCOUNT, region, fips=True),
        f"{ACCOUNT}.dkr-ecr.{region}.{dual}": EcrRegistry(ACCOUNT, region, dual_stack=True),
        f"{ACCOUNT}.dkr-ecr-fips.{region}.{dual}": EcrRegistry(ACCOUNT, region, True, True),
    }
    images = {Image.parse(f"{host}/team/api:v1"): registry for host, registry in forms.items()}
    assert {image: image.ecr for image in images} == images
    assert [str(image) for image in images] == [f"{host}/team/api:v1" for host in forms]
    assert [registry.host for registry in forms.values()] == list(forms)
    assert {image.identity for image in images} == {(ACCOUNT, region, "team/api")}
    assert ecr_host(ACCOUNT, region) == next(iter(forms))


def test_suffixes_agree_with_the_regions_that_botocore_knows():
    partitions = botocore.session.get_session().get_data("partitions")["partitions"]
    for partition in partitions:
        for region in (r for r in partition["regions"] if not r.endswith("-global")):
            outputs = partition["outputs"]
            dual = outputs["dualStackDnsSuffix"].replace("api.", "on.", 1)
            assert ecr_host(ACCOUNT, region).endswith(f".{region}.{outputs['dnsSuffix']}")
            assert EcrRegistry(ACCOUNT, region, dual_stack=True).host.endswith(f".{region}.{dual}")


@pytest.mark.parametrize(
    "host",
    [
        "public.ecr.aws",
        "docker.io",
        "localhost:5000",
        "12345678901.dkr.ecr.eu-central-1.amazonaws.com",
        f"{ACCOUNT}.ecr.eu-central-1.amazonaws.com",
        f"{ACCOUNT}.dkr.ecr.amazonaws.com",
        f"{ACCOUNT}.dkr.ecr.central.amazonaws.com",
        f"{ACCOUNT}.dkr.ecr.eu-central-1.amazonaws.com.evil.example",
        f"{ACCOUNT}.dkr.ecr.eu-central-1.evil.example",
        f"{ACCOUNT}.dkr.ecr.cn-north-1.amazonaws.com",
        f"{ACCOUNT}.dkr.ecr.eu-central-1.on.aws",
        f"{ACCOUNT}.dkr-ecr.eu-central-1.amazonaws.com",
        f"evil.{ECR}",
        f"{ECR}:5000",
    ],
)
def test_no_other_host_is_taken_for_ecr(host):
    assert Image(host, "team/api").ecr is None


@pytest.mark.parametrize("wrong", [("1", "eu-central-1"), (ACCOUNT, "eu-central-1.evil.example/x")])
def test_no_host_is_made_of_a_malformed_account_or_region(wrong):
    with pytest.raises(InvalidReferenceError):
        ecr_host(*wrong)
