# Homebrew on Linux. scripts/release fills in version and checksums, for a tap's Formula/dockbridge.rb.
class Dockbridge < Formula
  desc "Docker on a Hetzner Cloud server that exists only while you use it"
  homepage "https://github.com/dockbridge/dockbridge"
  version "@VERSION@"
  license "Apache-2.0"
  depends_on :linux

  on_linux do
    on_intel do
      url "@URL@/dockbridge-x86_64-linux.tar.gz"
      sha256 "@SHA256:dockbridge-x86_64-linux.tar.gz@"
    end
    on_arm do
      url "@URL@/dockbridge-aarch64-linux.tar.gz"
      sha256 "@SHA256:dockbridge-aarch64-linux.tar.gz@"
    end
  end

  def install
    bin.install "bin/dockbridge"
    man1.install Dir["share/man/man1/*"]
    bash_completion.install "share/bash-completion/completions/dockbridge"
    zsh_completion.install "share/zsh/site-functions/_dockbridge"
    fish_completion.install "share/fish/vendor_completions.d/dockbridge.fish"
  end

  test do
    assert_match version.to_s, shell_output("#{bin}/dockbridge --version")
  end
end
