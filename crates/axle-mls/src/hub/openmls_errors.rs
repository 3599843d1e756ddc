//! What openmls refuses, in the words of [`Refusal`].

use openmls::group::{
    ProposalValidationError as Proposal, PublicProcessMessageError as Process, StageCommitError as Stage,
    ValidationError as Validation,
};
use openmls::key_packages::errors::KeyPackageVerifyError as KeyPackage;

use super::Refusal;

impl From<Process> for Refusal {
    fn from(error: Process) -> Self {
        match error {
            Process::ValidationError(error) => validation(error),
            Process::InvalidCommit(error) => stage(error),
            Process::UnsupportedProposalType => Self::ProposalType,
            Process::IncompatibleWireFormat => Self::Malformed("the message"),
            other => Self::Invalid(other.to_string()),
        }
    }
}

fn validation(error: Validation) -> Refusal {
    match error {
        Validation::WrongGroupId => Refusal::WrongGroup,
        Validation::UnknownMember => Refusal::NotAMember,
        Validation::InvalidSignature | Validation::InvalidLeafNodeSignature => Refusal::Signature,
        Validation::InvalidAddProposalCiphersuite => Refusal::Ciphersuite,
        Validation::UnauthorizedExternalSender | Validation::NoExternalSendersExtension => Refusal::NotAMember,
        Validation::KeyPackageVerifyError(KeyPackage::InvalidProtocolVersion) => Refusal::Ciphersuite,
        Validation::KeyPackageVerifyError(KeyPackage::UnsupportedExtension) => Refusal::Capabilities,
        Validation::KeyPackageVerifyError(KeyPackage::InvalidSignature | KeyPackage::InvalidLeafNodeSignature) => {
            Refusal::Signature
        }
        other => Refusal::Invalid(other.to_string()),
    }
}

fn stage(error: Stage) -> Refusal {
    match error {
        Stage::MissingProposal => Refusal::ProposalUnknown,
        Stage::PathLeafNodeVerificationFailure => Refusal::Signature,
        Stage::SenderTypeExternal | Stage::SenderTypeNewMemberProposal => Refusal::NotAMember,
        Stage::ProposalValidationError(Proposal::InvalidAddProposalCiphersuiteOrVersion) => Refusal::Ciphersuite,
        Stage::ProposalValidationError(Proposal::InsufficientCapabilities) => Refusal::Capabilities,
        Stage::ProposalValidationError(Proposal::UnsupportedProposalType) => Refusal::ProposalType,
        other => Refusal::Invalid(other.to_string()),
    }
}
