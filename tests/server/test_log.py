from tritonops.server.log import explained, last_words


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
