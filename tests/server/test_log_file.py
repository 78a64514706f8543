from tritonops.server.log_file import explain_reason, last_errors


def test_a_backend_that_the_embedded_server_lacks_is_named():
    reason = explain_reason("Invalid argument: unable to find backend library for backend 'tensorflow', try specifying")
    assert reason.startswith("the embedded Triton has no backend 'tensorflow'")


def test_a_configuration_for_gpus_leads_to_the_one_for_cpus():
    assert "models.config --cpu" in explain_reason("instance group a_0 specifies invalid or unsupported gpu id 0.")


def test_the_last_words_are_the_errors_where_there_are_any(tmp_path):
    log = tmp_path / "triton.log"
    assert last_errors(log) == ""
    log.write_text("I1123 03:20 started\nE1123 03:20 bad\nerror: creating server: no\nI1123 03:20 bye\n")
    assert last_errors(log) == "E1123 03:20 bad\nerror: creating server: no"
    log.write_text("cannot execute\n")
    assert last_errors(log) == "cannot execute"


def test_what_triton_writes_on_every_machine_without_a_gpu_is_never_quoted(tmp_path):
    log = tmp_path / "triton.log"
    log.write_text(
        'E1129 07:37:17 8743 server.cc:241] "CudaDriverHelper has not been initialized."\n'
        'E1129 07:37:18 8743 ensemble_scheduler.cc:1468] "unable to create stream for e: CUDA driver"\n'
        "the true last words\n\n"
    )
    assert last_errors(log) == "the true last words"
