from tritonops.server.log import explained, failure_reasons, last_words

LOG = r"""[libprotobuf ERROR /a/text_format.cc:337] Error parsing text-format inference.ModelConfig: 3:8: Message type "inference.ModelConfig" has no field named "inputt".
E1123 03:20:22.506728 29779 model_repository_manager.cc:1460] "Poll failed for model directory 'broken': failed to read text proto from /m/broken/config.pbtxt"
E1123 03:20:22.506876 29779 model_repository_manager.cc:1460] "Poll failed for model directory 'empty': failed to open text file for read /m/empty/config.pbtxt: No such file or directory"
E1123 03:20:22.508262 29779 model_repository_manager.cc:724] "failed to load model 'bare': at least one version must be available under the version policy of model 'bare'"
E1123 03:20:22.508403 29779 model_lifecycle.cc:642] "failed to load 'tf' version 1: Invalid argument: unable to find backend library for backend 'tensorflow', try specifying runtime on the model configuration."
E1123 03:20:22.510349 29779 model_lifecycle.cc:642] "failed to load 'gpu' version 1: Invalid argument: instance group gpu_0 of model gpu specifies invalid or unsupported gpu id 0. GPUs with at least the minimum required CUDA compute compatibility of 6.000000 are: "
E1123 03:20:23.210563 29779 model_lifecycle.cc:642] "failed to load 'torn' version 2: Internal: InvalidProtobuf: Protobuf parsing failed.\n\nAt:\n  /v/collection.py(753): _create\n"
E1123 03:20:23.310563 29779 model_lifecycle.cc:642] "failed to load 'mended' version 1: Internal: no"
I1123 03:20:24.952112 29779 model_lifecycle.cc:839] "successfully loaded 'mended'"
"""  # noqa: E501


def test_the_last_word_on_each_model_that_failed_is_found(tmp_path):
    log = tmp_path / "triton.log"
    log.write_text(LOG)
    reasons = failure_reasons(log)
    assert reasons.keys() == {"broken", "empty", "bare", "tf", "gpu", "torn"}
    assert reasons["broken"] == (
        "failed to read text proto from /m/broken/config.pbtxt "
        '(line 3, column 8: Message type "inference.ModelConfig" has no field named "inputt".)'
    )
    assert reasons["empty"] == "failed to open text file for read /m/empty/config.pbtxt: No such file or directory"
    assert reasons["bare"].startswith("at least one version must be available")
    assert reasons["torn"] == "Internal: InvalidProtobuf: Protobuf parsing failed."


def test_a_backend_that_the_embedded_server_lacks_is_named():
    reason = explained("Invalid argument: unable to find backend library for backend 'tensorflow', try specifying")
    assert reason.startswith("the embedded Triton has no backend 'tensorflow'")


def test_a_configuration_for_gpus_leads_to_the_one_for_cpus():
    assert "models.config --cpu" in explained("instance group a_0 specifies invalid or unsupported gpu id 0.")


def test_the_last_words_are_the_errors_where_there_are_any(tmp_path):
    log = tmp_path / "triton.log"
    assert last_words(log) == ""
    log.write_text("I1123 03:20 started\nE1123 03:20 bad\nerror: creating server: no\nI1123 03:20 bye\n")
    assert last_words(log) == "E1123 03:20 bad\nerror: creating server: no"
    log.write_text("cannot execute\n")
    assert last_words(log) == "cannot execute"
