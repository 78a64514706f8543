import pytest

from tritonops.errors import PartialFailureError
from tritonops.triton.client.api_types import ModelStatus
from tritonops.triton.startup.failure_reasons import failure_reasons
from tritonops.triton.startup.served import raise_unserved, with_reasons

LOG = r"""[libprotobuf ERROR /a/text_format.cc:337] Error parsing text-format inference.ModelConfig: 3:8: Message type "inference.ModelConfig" has no field named "inputt".
E1123 03:20:22.506728 29779 model_repository_manager.cc:1460] "Poll failed for model directory 'broken': failed to read text proto from /m/broken/config.pbtxt"
E1123 03:20:22.506876 29779 model_repository_manager.cc:1460] "Poll failed for model directory 'empty': failed to open text file for read /m/empty/config.pbtxt: No such file or directory"
E1123 03:20:22.508262 29779 model_repository_manager.cc:724] "failed to load model 'bare': at least one version must be available under the version policy of model 'bare'"
E1123 03:20:22.508403 29779 model_lifecycle.cc:642] "failed to load 'tf' version 1: Invalid argument: unable to find backend library for backend 'tensorflow', try specifying runtime on the model configuration."
E1123 03:20:22.510349 29779 model_lifecycle.cc:642] "failed to load 'gpu' version 1: Invalid argument: instance group gpu_0 of model gpu specifies invalid or unsupported gpu id 0. GPUs with at least the minimum required CUDA compute compatibility of 6.000000 are: "
E1123 03:20:23.210563 29779 model_lifecycle.cc:642] "failed to load 'torn' version 2: Internal: InvalidProtobuf: Protobuf parsing failed.\n\nAt:\n  /v/collection.py(753): _create\n"
E1123 03:20:23.310563 29779 model_lifecycle.cc:642] "failed to load 'fixed' version 1: Internal: no"
I1123 03:20:24.952112 29779 model_lifecycle.cc:839] "successfully loaded 'fixed'"
"""  # noqa: E501


def test_the_last_word_on_each_model_that_failed_is_found():
    reasons = failure_reasons(LOG)
    assert reasons.keys() == {"broken", "empty", "bare", "tf", "gpu", "torn"}
    assert reasons["broken"] == (
        "failed to read text proto from /m/broken/config.pbtxt "
        '(line 3, column 8: Message type "inference.ModelConfig" has no field named "inputt".)'
    )
    assert reasons["empty"] == "failed to open text file for read /m/empty/config.pbtxt: No such file or directory"
    assert reasons["bare"].startswith("at least one version must be available")
    assert reasons["torn"] == "Internal: InvalidProtobuf: Protobuf parsing failed."


ENSEMBLES = r"""E1129 07:37:18.741921 8743 model_repository_manager.cc:703] "Invalid argument: ensemble 'e' depends on 'a' whose required version 3 is not loaded."
E1129 07:37:26.021552 8743 model_repository_manager.cc:703] "Invalid argument: ensemble e 2 contains models that are not available or ambiguous: a"
E1129 07:38:33.697955 8743 model_repository_manager.cc:703] "Invalid argument: ensemble 'deep' depends on 'st' which has no loaded version. Model 'st' loading failed with error: version 1 is at UNAVAILABLE state: Internal: no;"
E1129 07:38:34.455474 8743 model_repository_manager.cc:703] "Invalid argument: ensemble 'deep' depends on 'st' which has no loaded version. Model 'st' loading failed with error: "
E1129 07:38:34.455481 8743 model_repository_manager.cc:703] "Invalid argument: ensemble 'curt' depends on 'st' which has no loaded version. Model 'st' loading failed with error: "
E1129 08:16:15.184535 7155 model_repository_manager.cc:703] "Invalid argument: in ensemble wide, ensemble tensor image: inconsistent shape: [-1,1] is inferred from model wide while [-1] is inferred from model a"
E1129 07:38:34.455499 8743 ensemble_scheduler.cc:1468] "unable to create stream for en: CUDA driver version is insufficient for CUDA runtime version"
"""  # noqa: E501


def test_an_ensembles_reason_is_found_and_not_replaced_by_its_repetition_without_one():
    assert failure_reasons(ENSEMBLES) == {
        "e": "depends on 'a' whose required version 3 is not loaded.",
        "e 2": "contains models that are not available or ambiguous: a",
        "deep": "depends on 'st' which has no loaded version. "
        "Model 'st' loading failed with error: version 1 is at UNAVAILABLE state: Internal: no;",
        "curt": "depends on 'st' which has no loaded version.",
        "wide": "ensemble tensor image: inconsistent shape: [-1,1] is inferred from model wide while [-1] is inferred "
        "from model a",
    }


def test_a_reason_is_put_as_the_server_wants_it():
    assert failure_reasons(LOG, explain=str.upper)["tf"].startswith("INVALID ARGUMENT")


def test_the_index_gets_the_reasons_that_only_the_log_has_and_the_models_that_it_does_not_list():
    index = [ModelStatus("broken", None, None, None), ModelStatus("fine", 1, "READY", None)]
    broken, fine, unlisted = with_reasons(index, ["broken", "fine", "unlisted"], LOG)
    assert broken.reason is not None
    assert "config.pbtxt" in broken.reason
    assert fine == ModelStatus("fine", 1, "READY", None)
    assert unlisted == ModelStatus("unlisted", None, None, None)


def test_models_that_are_not_served_are_named_but_not_those_that_somebody_unloaded():
    rows = [
        ModelStatus("served", 1, "READY", None),
        ModelStatus("served", 2, "UNLOADING", None),
        ModelStatus("asleep", 1, "UNAVAILABLE", "unloaded"),
        ModelStatus("torn", 1, "UNAVAILABLE", "no graph"),
    ]
    with pytest.raises(PartialFailureError, match="torn: no graph") as raised:
        raise_unserved(rows, hint="Look at the log.")
    assert list(raised.value.failures) == ["torn"]
    raise_unserved(rows[:3], hint="")
